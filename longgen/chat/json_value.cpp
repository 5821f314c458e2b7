#include "longgen/chat/json_value.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

using jinja::Value;

constexpr int kMaxDepth = 64;

Value text_value(const std::string& bytes) {
  return Value(Value::Storage(std::make_shared<const jinja::Text>(
      is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes), jinja::Origin::data)));
}

Value convert(const OrderedJson& json, const std::string& where, int depth) {
  LG_CHECK(depth <= kMaxDepth, where, ": nested deeper than ", kMaxDepth, " levels.");
  if (json.is_null()) return Value();
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_integer()) {
    const bool fits = !json.is_number_unsigned() || json.get<uint64_t>() <= uint64_t{INT64_MAX};
    LG_CHECK(fits, where, ": expected integers of 64 bits, found ", json.dump(), ".");
    return Value(json.get<int64_t>());
  }
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_string()) return text_value(json.get_ref<const std::string&>());
  if (json.is_array()) {
    jinja::Sequence list;
    for (const OrderedJson& item : json) {
      list.items.push_back(convert(item, where, depth + 1));
      list.depth = std::max(list.depth, list.items.back().depth() + 1);
    }
    return Value(Value::Storage(std::make_shared<const jinja::Sequence>(std::move(list))));
  }
  LG_CHECK(json.is_object(), where, ": expected JSON, found binary data.");
  jinja::Dict dict;
  for (const auto& [key, item] : json.items()) {
    dict.set_text(text_value(key), convert(item, where, depth + 1));
  }
  return Value(Value::Storage(std::make_shared<const jinja::Dict>(std::move(dict))));
}

}  // namespace

Value json_value(const OrderedJson& json, const std::string& where) {
  return convert(json, where, 0);
}

}  // namespace longgen
