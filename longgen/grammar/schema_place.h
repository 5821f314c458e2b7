// grammar/schema_place.h: a keyword of a JSON Schema, and where it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/base/json.h"

namespace longgen {

/// Throws SchemaError.
[[noreturn]] void refuse_schema(const std::string& path, const std::string& message);
/// "properties.name", and "anyOf[2]". A long name is cut.
std::string inside(const std::string& path, const std::string& field);
std::string inside(const std::string& path, const std::string& field, size_t index);
/// A keyword that is an integer from 0 to `most`; nullopt where it is not there. Throws SchemaError
/// on any other value.
std::optional<int64_t> counted(const OrderedJson& schema, const char* name, const std::string& path,
                               int64_t most);

}  // namespace longgen
