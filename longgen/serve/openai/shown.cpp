#include "longgen/serve/openai/shown.h"

#include "longgen/base/units.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::openai {

std::string shortened(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  const std::string_view cut = text.substr(0, max_bytes);
  return std::string(cut.substr(0, cut.size() - unfinished_utf8_bytes(cut))) + "...";
}

std::string shown(const OrderedJson& value) {
  const auto count = static_cast<int64_t>(value.size());
  if (value.is_array()) return "a list of " + format_count(count, "item");
  if (value.is_object()) return "an object of " + format_count(count, "field");
  if (value.is_string())
    return dump_json(OrderedJson(shortened(value.get_ref<const std::string&>())));
  return dump_json(value);
}

}  // namespace longgen::openai
