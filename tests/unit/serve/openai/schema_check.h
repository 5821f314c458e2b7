// tests/unit/serve/openai/schema_check.h: holds JSON against what openapi.json says of it.
#pragma once

#include <algorithm>
#include <string>

#include "longgen/base/json.h"

namespace longgen::openai {

/// The parts of JSON Schema that openapi.json uses. An object may hold only the properties that are
/// listed, so that a field that nobody described is found.
class SchemaCheck {
 public:
  explicit SchemaCheck(const OrderedJson& openapi) : schemas_(openapi["components"]["schemas"]) {}

  /// Returns where and why the value does not fit the schema of this name; "" where it does.
  std::string fault(const OrderedJson& value, const std::string& name) const {
    return fault(value, schemas_.at(name), name);
  }

 private:
  static bool is(const OrderedJson& value, const std::string& type) {
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    return value.type_name() == type;
  }

  std::string fault(const OrderedJson& value, const OrderedJson& schema,
                    const std::string& path) const {
    if (schema.contains("$ref")) {
      const auto reference = schema["$ref"].get<std::string>();
      return fault(value, schemas_.at(reference.substr(reference.rfind('/') + 1)), path);
    }
    if (schema.contains("anyOf")) {
      const auto fits = [&](const OrderedJson& each) { return fault(value, each, path).empty(); };
      const bool any = std::any_of(schema["anyOf"].begin(), schema["anyOf"].end(), fits);
      return any ? "" : path + " fits none of anyOf";
    }
    if (schema.contains("const") && value != schema["const"]) return path + " is not the constant";
    if (schema.contains("enum")) {
      const auto& all = schema["enum"];
      if (std::find(all.begin(), all.end(), value) == all.end()) return path + " is not listed";
    }
    if (schema.contains("type")) {
      const OrderedJson& type = schema["type"];
      const OrderedJson types = type.is_array() ? type : OrderedJson::array({type});
      const auto fits = [&](const OrderedJson& each) { return is(value, each.get<std::string>()); };
      if (!std::any_of(types.begin(), types.end(), fits)) return path + " has another type";
    }
    if (value.is_number()) return range_fault(value, schema, path);
    if (value.is_object()) return object_fault(value, schema, path);
    const bool has_items = value.is_array() && schema.contains("items");
    for (size_t i = 0; has_items && i < value.size(); ++i) {
      const std::string found = fault(value[i], schema["items"], path + "[]");
      if (!found.empty()) return found;
    }
    return "";
  }

  static std::string range_fault(const OrderedJson& value, const OrderedJson& schema,
                                 const std::string& path) {
    const bool low = schema.contains("minimum") && value < schema["minimum"];
    const bool at_low = schema.contains("exclusiveMinimum") && value <= schema["exclusiveMinimum"];
    const bool high = schema.contains("maximum") && value > schema["maximum"];
    return low || at_low || high ? path + " is out of range" : "";
  }

  std::string object_fault(const OrderedJson& value, const OrderedJson& schema,
                           const std::string& path) const {
    for (const auto& name : schema.value("required", OrderedJson::array())) {
      if (!value.contains(name.get<std::string>())) return path + " lacks " + name.dump();
    }
    const OrderedJson properties = schema.value("properties", OrderedJson::object());
    const OrderedJson others = schema.value("additionalProperties", OrderedJson(false));
    if (properties.empty() && !schema.contains("additionalProperties")) return "";
    for (auto it = value.begin(); it != value.end(); ++it) {
      const bool listed = properties.contains(it.key());
      if (!listed && !others.is_object()) return path + "." + it.key() + " is not described";
      const std::string found =
          fault(it.value(), listed ? properties[it.key()] : others, path + "." + it.key());
      if (!found.empty()) return found;
    }
    return "";
  }

  OrderedJson schemas_;
};

}  // namespace longgen::openai
