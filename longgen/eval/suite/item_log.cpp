#include "longgen/eval/suite/item_log.h"

#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr const char* kFormat = "longgen_items";

std::string header_of(const OrderedJson& settings) {
  return dump_json(OrderedJson{{kFormat, 1}, {"settings", settings}}) + "\n";
}

/// Throws Error unless both are equal, whatever the order of their fields.
void expect_settings(const Json& found, const Json& expected, const std::string& source) {
  for (const auto& [name, value] : expected.items()) {
    const Json other = found.value(name, Json());
    LG_CHECK(other == value, source, ": its items were made with ", name, " ", dump_json(other),
             ", and this run has ", dump_json(value), ". Use another --out, or remove the file.");
  }
  for (const auto& [name, value] : found.items()) {
    LG_CHECK(expected.contains(name), source, ": its items were made with ", name, " ",
             dump_json(value), ", which this run has not. Use another --out, or remove the file.");
  }
}

void check_header(const std::string& line, const OrderedJson& settings, const std::string& source) {
  const Json value = parse_json(line, source + ":1");
  const bool is_log = value.is_object() && value.value(kFormat, Json()) == 1 &&
                      value.contains("settings") && value["settings"].is_object();
  LG_CHECK(is_log, source, ": expected finished items of a suite, whose first line has \"", kFormat,
           "\": 1 and settings, found something else. Use another --out.");
  expect_settings(value["settings"], parse_json(dump_json(settings), source), source);
}

}  // namespace

ItemLog::ItemLog(const fs::path& file, const OrderedJson& settings) {
  if (fs::exists(file)) read(file, settings);
  const bool is_new = !fs::exists(file);
  file_ = std::make_unique<AppendFile>(file, AppendFile::Start::append);
  if (is_new) file_->append(header_of(settings));
}

void ItemLog::read(const fs::path& file, const OrderedJson& settings) {
  const std::string text = read_file(file);
  const size_t whole = text.rfind('\n') + 1;  // 0 where there is no line break
  bool is_header = true;
  int64_t number = 0;
  for (size_t begin = 0; begin < whole;) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (std::exchange(is_header, false)) {
      check_header(line, settings, file.string());
      continue;
    }
    const std::string source = detail::concat(file.string(), ":", number);
    const Json value = parse_json(line, source);
    ItemResult result = parse_item_result(JsonObject(value, source));
    results_[result.id] = std::move(result);
  }
  if (is_header) {  // not even its first line is whole
    LG_CHECK(header_of(settings).starts_with(text), file.string(),
             ": expected finished items of a suite, found something else. Use another --out.");
    fs::remove(file);
  } else if (whole < text.size()) {
    write_file(file, std::string_view(text).substr(0, whole));
  }
}

const ItemResult* ItemLog::find(const std::string& id) const {
  const auto found = results_.find(id);
  return found == results_.end() ? nullptr : &found->second;
}

void ItemLog::add(ItemResult result) {
  file_->append(dump_json(item_json(result)) + "\n");
  results_[result.id] = std::move(result);
}

}  // namespace longgen
