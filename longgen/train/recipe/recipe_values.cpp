#include "longgen/train/recipe/recipe_values.h"

#include <fmt/format.h>

#include <sstream>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/units.h"

namespace longgen::recipe_fields {

std::string shortened(std::string text) {
  constexpr size_t kShown = 60;
  if (text.size() <= kShown) return text;
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string shown(std::string_view text) { return shortened(dump_json(Json(std::string(text)))); }

std::string shown(const toml::node& node) {
  if (const auto* text = node.as_string()) return shown(text->get());
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << value;
  });
  return out.str();
}

std::string place(const std::string& source, const toml::node& node) {
  return fmt::format("{}: line {}", source, node.source().begin.line);
}

void wrong(const Entry& entry, const std::string& expected) {
  LG_FAIL(entry.where, ": expected ", expected, ", found ", shown(*entry.node), ".");
}

void read(const Entry& entry, std::string& member, const Text& rule) {
  const std::string expected = rule.list ? "a string or a list of integers" : "a string";
  if (const auto* text = entry.node->as_string()) {
    member = text->get();
  } else if (const auto* list = entry.node->as_array(); list != nullptr && rule.list) {
    member.clear();
    for (const toml::node& item : *list) {
      if (!item.is_integer()) wrong(entry, expected);
      member += (member.empty() ? "" : ",") + std::to_string(item.as_integer()->get());
    }
  } else if (entry.given) {
    member = *entry.given;  // --set data.path=2024 names a folder
  } else {
    wrong(entry, expected);
  }
  LG_CHECK(member.find_first_not_of(' ') != std::string::npos, entry.where, ": expected ", expected,
           ", found an empty one.");
  for (const char c : member) {
    LG_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, entry.where,
             ": expected a string without control characters, found ", shown(member), ".");
  }
}

void read(const Entry& entry, int64_t& member, const Count& rule) {
  const std::string expected =
      rule.high == INT64_MAX
          ? fmt::format("an integer of at least {}", rule.low)
          : fmt::format("an integer from {} to {}", rule.low, format_count(rule.high));
  if (const auto* number = entry.node->as_integer()) {
    member = number->get();
  } else if (const auto* text = entry.node->as_string()) {
    try {
      member = parse_count(text->get(), entry.where);
    } catch (const Error&) {
      wrong(entry, expected + " (also as \"16K\" or \"20M\")");
    }
  } else {
    wrong(entry, expected);
  }
  if (member < rule.low || member > rule.high) wrong(entry, expected);
}

void read(const Entry& entry, double& member, const Number& rule) {
  const bool gap = rule.smallest > 0;
  const std::string expected = fmt::format("{}a number from {} to {}", gap ? "0 or " : "",
                                           gap ? rule.smallest : rule.low, rule.high);
  const std::optional<double> number =
      entry.node->is_number() ? entry.node->value<double>() : std::nullopt;
  const bool good = number && *number >= rule.low && *number <= rule.high &&
                    (*number == 0 || *number >= rule.smallest);
  if (!good) wrong(entry, expected);
  member = *number + 0.0;  // -0.0 becomes 0.0
}

void read(const Entry& entry, bool& member, YesNo) {
  const auto* value = entry.node->as_boolean();
  if (value == nullptr) wrong(entry, "true or false");
  member = value->get();
}

void read(const Entry& entry, RopeChange& member, Rope) {
  using namespace config_limits;
  const std::string expected = detail::concat(
      "\"auto\", \"yarn\", \"keep\" or a base, a number from ", kMinRopeBase, " to ", kMaxRopeBase);
  if (entry.node->is_number()) {
    const double base = entry.node->value<double>().value_or(0);
    if (!(base >= kMinRopeBase && base <= kMaxRopeBase)) wrong(entry, expected);
    member = {.kind = RopeChange::Kind::kBase, .base = base};
    return;
  }
  const auto* text = entry.node->as_string();
  const std::string name = text == nullptr ? "" : text->get();
  if (name != "auto" && name != "yarn" && name != "keep") wrong(entry, expected);
  member = {.kind = name == "auto"   ? RopeChange::Kind::kAuto
                    : name == "yarn" ? RopeChange::Kind::kYarn
                                     : RopeChange::Kind::kKeep};
}

}  // namespace longgen::recipe_fields
