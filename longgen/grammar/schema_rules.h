// grammar/schema_rules.h: from a JSON Schema to the rules of a grammar.
#pragma once

#include <string>

#include "longgen/base/json.h"
#include "longgen/grammar/ebnf_rules.h"

namespace longgen {

/// Adds rules for the JSON that a schema allows, and returns the name of the first one. What the
/// rules allow is always valid; it may be less than what the schema does:
///   - objects have their properties in the order of the schema, and no others beside them unless
///     additionalProperties says so;
///   - arrays with prefixItems have all of these, and no others unless items says so;
///   - numbers within bounds have no exponent.
/// Throws SchemaError on every keyword that the rules would not hold the reply to, on what no JSON
/// can meet, and beyond the limits below and of GrammarLimits. `path` is that of the schema.
std::string add_schema(const OrderedJson& schema, const std::string& path, EbnfRules& rules);

/// Of all of a schema together, but for kDepth and kObjectProperties.
struct SchemaLimits {
  static constexpr int64_t kDepth = 64;  ///< of schemas in schemas, references followed
  static constexpr int64_t kProperties = 500;
  static constexpr int64_t kObjectProperties = 100;
  static constexpr int64_t kOptions = 1000;      ///< of enum, anyOf, oneOf and prefixItems
  static constexpr int64_t kValueBytes = 16384;  ///< of the values of enum and const
  static constexpr int64_t kItems = 1000;        ///< that minItems and maxItems say
  static constexpr int64_t kReferences = 256;    ///< different ones
};

}  // namespace longgen
