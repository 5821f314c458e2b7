#include "longgen/eval/suite/item_lines.h"

#include <algorithm>
#include <string_view>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr const char* kSpaces = " \t\n\r\v\f";

}  // namespace

void for_each_item_line(const fs::path& file,
                        const std::function<void(const JsonObject& line)>& visit) {
  const std::string text = read_file(file);
  int64_t number = 0, num_items = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(kSpaces) == std::string_view::npos) continue;
    const std::string source = detail::concat(file.string(), ":", number);
    const Json value = parse_json(line, source);
    LG_CHECK(value.is_object(), source, ": expected a JSON object, an item a line, found ",
             value.type_name(), ".");
    visit(JsonObject(value, source));
    ++num_items;
  }
  LG_CHECK(num_items > 0, file.string(), ": expected JSON lines, an item each, found none.");
}

std::string item_id(const JsonObject& line, size_t number) {
  if (!line.has("id")) return std::to_string(number);
  const Json& id = line.raw("id");
  if (id.is_number_integer()) return id.dump();
  const std::string text = line.string("id");
  LG_CHECK(!text.empty(), line.where("id"), ": expected a number or a text, found an empty one.");
  return text;
}

void UniqueIds::add(const std::string& id, const JsonObject& line) {
  const auto [place, is_new] = lines_.emplace(id, line.source());
  LG_CHECK(is_new, line.where("id"), ": expected an id of its own, found ", id, ", which ",
           place->second, " has.");
}

std::vector<std::string> item_texts(const JsonObject& line, const std::string& field,
                                    size_t fewest) {
  const Json& list = line.raw(field);
  LG_CHECK(list.is_array(), line.where(field), ": expected a list of texts, found ",
           list.type_name(), ".");
  std::vector<std::string> texts;
  for (const Json& text : list) {
    LG_CHECK(text.is_string() && !text.get_ref<const std::string&>().empty(), line.where(field),
             ": expected texts that are not empty, found ", dump_json(text), " as entry ",
             texts.size() + 1, ".");
    texts.push_back(text.get<std::string>());
  }
  LG_CHECK(texts.size() >= fewest, line.where(field), ": expected at least ", fewest,
           " texts, found ", texts.size(), ".");
  return texts;
}

std::string stripped(const std::string& text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

}  // namespace longgen
