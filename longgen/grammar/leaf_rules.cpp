#include "longgen/grammar/leaf_rules.h"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "longgen/grammar/char_set.h"
#include "longgen/grammar/number_range.h"
#include "longgen/grammar/schema_place.h"
#include "longgen/grammar/text_pattern.h"

namespace longgen {
namespace {

using Rules = EbnfRules;

/// The forms of texts that `format` may name. Days are not held against the calendar.
const std::map<std::string, std::string>& formats() {
  static const std::string date = R"(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))";
  static const std::string time =
      R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))";
  static const std::string byte = R"((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";
  static const std::map<std::string, std::string> patterns = {
      {"date", "^" + date + "$"},
      {"time", "^" + time + "$"},
      {"date-time", "^" + date + "T" + time + "$"},
      {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
      {"ipv4", "^" + byte + "\\." + byte + "\\." + byte + "\\." + byte + "$"},
      {"email", R"(^[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,12}$)"},
  };
  return patterns;
}

std::string patterned(const std::string& pattern, const std::string& path, EbnfRules& rules) {
  const std::string inner = text_pattern_ebnf(pattern, path, rules);
  return rules.add(fmt::format("(\"\\\"\" {} \"\\\"\") {}", inner, Rules::kBehindString));
}

/// A rule for each character, because xgrammar is slow with counts of what has several forms.
std::string counted_string(const OrderedJson& schema, const std::string& path, EbnfRules& rules) {
  constexpr int64_t kMostLength = GrammarLimits::kPlaces / GrammarLimits::kPlacesOfWide;
  const int64_t least = counted(schema, "minLength", path, kMostLength).value_or(0);
  const std::optional<int64_t> most = counted(schema, "maxLength", path, kMostLength);
  if (most && *most < least) refuse_schema(inside(path, "maxLength"), "it is below minLength.");
  const int64_t num_rules = most.value_or(least);
  rules.count_places(num_rules * GrammarLimits::kPlacesOfWide,
                     inside(path, most ? "maxLength" : "minLength"));
  std::string rest = most ? "\"\\\"\"" : Rules::kStringRest;
  for (int64_t left = num_rules; left-- > 0;) {
    const char* const end = left >= least ? "\"\\\"\" | " : "";
    rest = rules.add(fmt::format("({}{} {} | \"\\\\\" [\"\\\\/bfnrt] {}) {}", end,
                                 plain_in_json().ebnf(), rest, rest, Rules::kBehindString));
  }
  return "\"\\\"\" " + rest;
}

void read_bound(const OrderedJson& schema, const char* name, bool is_exclusive, bool is_integer,
                const std::string& path, std::optional<NumberBound>& bound) {
  const auto found = schema.find(name);
  if (found == schema.end()) return;
  if (bound) refuse_schema(inside(path, name), "expected one lower and one upper bound at most.");
  if (!found->is_number()) refuse_schema(inside(path, name), "expected a number.");
  std::string text = dump_json(*found);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  if (text.size() > 20 || text.find('e') != text.npos) {
    refuse_schema(inside(path, name), "expected a number that is written without exponent.");
  }
  if (is_integer && text.find('.') != text.npos) {
    refuse_schema(inside(path, name), "expected an integer, because the type is.");
  }
  bound = {text, is_exclusive};
}

}  // namespace

std::string string_ebnf(const OrderedJson& schema, const std::string& path, EbnfRules& rules) {
  const bool is_counted = schema.contains("minLength") || schema.contains("maxLength");
  int num_kinds = is_counted ? 1 : 0;
  for (const char* name : {"pattern", "format"}) {
    if (!schema.contains(name)) continue;
    if (++num_kinds > 1) {
      refuse_schema(inside(path, name),
                    "of pattern, format and lengths only one kind is supported.");
    }
    if (!schema.at(name).is_string()) refuse_schema(inside(path, name), "expected a text.");
  }
  if (is_counted) return counted_string(schema, path, rules);
  if (schema.contains("pattern")) {
    return patterned(schema.at("pattern").get<std::string>(), inside(path, "pattern"), rules);
  }
  if (!schema.contains("format")) return Rules::kString;
  const auto format = formats().find(schema.at("format").get<std::string>());
  if (format == formats().end()) {
    refuse_schema(inside(path, "format"), "expected date, time, date-time, uuid, ipv4 or email.");
  }
  return patterned(format->second, inside(path, "format"), rules);
}

std::string number_ebnf(const OrderedJson& schema, bool is_integer, const std::string& path) {
  std::optional<NumberBound> low, high;
  read_bound(schema, "minimum", false, is_integer, path, low);
  read_bound(schema, "exclusiveMinimum", true, is_integer, path, low);
  read_bound(schema, "maximum", false, is_integer, path, high);
  read_bound(schema, "exclusiveMaximum", true, is_integer, path, high);
  if (!low && !high) return is_integer ? Rules::kInteger : Rules::kNumber;
  const std::optional<std::string> range = number_range_ebnf(low, high, is_integer);
  if (!range) refuse_schema(path, "no number is within these bounds.");
  return *range;
}

}  // namespace longgen
