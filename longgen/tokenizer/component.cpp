#include "longgen/tokenizer/component.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {

void check_keys(const JsonObject& object, std::initializer_list<std::string_view> known) {
  for (const auto& item : object.value().items()) {
    const bool found = std::find(known.begin(), known.end(), item.key()) != known.end();
    LG_CHECK(found, object.where(item.key()), ": not a setting that longgen knows here.");
  }
}

void refuse_type(const JsonObject& object, const std::string& what, const std::string& supported) {
  LG_FAIL(object.where("type"), ": expected a ", what, " that longgen supports (", supported,
          "), found \"", object.string("type"), "\".");
}

PatternField read_pattern(const JsonObject& parent, const std::string& key) {
  const JsonObject field = parent.object(key);
  check_keys(field, {"String", "Regex"});
  LG_CHECK(field.value().size() == 1, parent.where(key),
           ": expected {\"String\": ...} or {\"Regex\": ...}.");
  const bool is_regex = field.has("Regex");
  return {is_regex, field.string(is_regex ? "Regex" : "String"), parent.where(key)};
}

std::string read_char(const JsonObject& parent, const std::string& key) {
  const std::string text = parent.string(key);
  LG_CHECK(count_utf8(text) == 1, parent.where(key), ": expected one character, found \"",
           text.substr(0, 60), "\".");
  return text;
}

std::vector<JsonObject> read_objects(const JsonObject& parent, const std::string& key) {
  const Json& list = parent.raw(key);
  LG_CHECK(list.is_array(), parent.where(key), ": expected a list, found ", list.type_name(), ".");
  const std::string where = parent.where(key);
  const std::string prefix = parent.source() + ": field ";
  std::vector<JsonObject> objects;
  objects.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    objects.emplace_back(list[i], parent.source(),
                         where.substr(prefix.size()) + "[" + std::to_string(i) + "]");
  }
  return objects;
}

}  // namespace longgen
