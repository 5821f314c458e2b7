#include "longgen/serve/openai/field_table.h"

namespace longgen::openai {

OrderedJson field_schema(const OrderedJson& rule, const std::string& sentence, bool may_be_null) {
  OrderedJson schema = {{"description", sentence}};
  const bool some_values = rule.contains("enum") || rule.contains("const");
  if (may_be_null && rule.contains("type") && !some_values) {
    schema["type"] = {rule["type"], "null"};
  } else if (may_be_null) {
    schema["anyOf"] = {rule, OrderedJson{{"type", "null"}}};
    return schema;
  }
  for (auto it = rule.begin(); it != rule.end(); ++it) {
    if (!schema.contains(it.key())) schema[it.key()] = it.value();
  }
  return schema;
}

}  // namespace longgen::openai
