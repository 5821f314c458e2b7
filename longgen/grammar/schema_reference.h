// grammar/schema_reference.h: what can be told of the schemas in a JSON Schema beforehand.
#pragma once

#include <string>

#include "longgen/base/json.h"

namespace longgen {

/// What a `$ref` leads to, within the schema that it stands in.
struct Reference {
  std::string text;  ///< "#/$defs/node"
  const OrderedJson& schema;
};

/// Throws SchemaError with the path of the schema on a reference that leads nowhere, or elsewhere.
Reference resolve(const OrderedJson& root, const OrderedJson& schema, const std::string& path);
/// Where "#/$defs/node" is, for messages: "$defs.node" behind the path of the root.
std::string path_of(const std::string& root_path, const std::string& reference);

/// Is there JSON that meets the schema and ends? (One that demands itself inside itself has none.)
/// What is wrong with a schema in other ways does not matter here.
bool is_finite(const OrderedJson& root, const OrderedJson& schema);

/// Is it certain that no value meets two of the schemas? By their types, or a required property
/// that has other values in each.
bool exclude_each_other(const OrderedJson& root, const OrderedJson& schemas);

}  // namespace longgen
