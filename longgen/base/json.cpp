#include "longgen/base/json.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"

namespace longgen {
namespace {

constexpr int kMaxDepth = 64;

/// Writes what was found, short enough for a message.
std::string shown(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  return text;
}

/// Says where a byte stands: "column 15" in a text of one line, else "line 3, column 15".
std::string place_of(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, byte);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_break = before.rfind('\n');
  const size_t column = before.size() - (line_break == before.npos ? 0 : line_break + 1) + 1;
  const bool one_line = text.find('\n') >= text.size() - std::min<size_t>(text.size(), 1);
  return detail::concat(one_line ? "" : detail::concat("line ", line, ", "), "column ", column);
}

/// Takes out what the parser quotes of the text: a stranger's words must not be taken for its own,
/// and need not be UTF-8.
std::string without_quote(std::string reason) {
  constexpr std::string_view kQuote = "; last read: '";
  const size_t begin = reason.find(kQuote);
  const size_t end = reason.rfind('\'');
  if (begin == reason.npos || end < begin + kQuote.size()) return reason;
  return reason.erase(begin, end + 1 - begin);
}

/// Puts the parser's reason into words for people who did not write a parser.
std::string plain_reason(const std::string& parser_reason) {
  const std::string reason = without_quote(parser_reason);
  constexpr std::string_view kOverflow = "number overflow parsing '";
  if (const size_t found = reason.find(kOverflow); found != reason.npos) {
    const std::string number = reason.substr(found + kOverflow.size());
    return "a number that is larger than any 64-bit floating-point number: " +
           (number.size() > 60 ? number.substr(0, 60) + "..."
                               : number.substr(0, number.size() - 1));
  }
  // What the parser's message holds, and what to say then. The first that is found counts.
  constexpr std::array<std::pair<const char*, const char*>, 12> kWords = {{
      {"missing closing quote", "a string has no closing quote (\")"},
      {"control character",
       "a string goes over the end of its line, or holds another control "
       "character: its closing quote (\") is missing, or \\n, \\t and the "
       "like must be written for them"},
      {"ill-formed UTF-8", "a byte that is not UTF-8"},
      {"surrogate", "\\u escapes of half a character"},
      {"after backslash",
       "a backslash in a string that begins no escape; a backslash itself is "
       "written \\\\"},
      {"'\\u' must be", "\\u without four hexadecimal digits after it"},
      {"; expected end of input", "expected nothing after a complete JSON value"},
      {"parsing object key", "expected a field's name in double quotes"},
      {"parsing object separator",
       "expected ':' after a field's name; the name's closing quote may "
       "be missing"},
      {"parsing object", "expected ',' or '}' after a field's value; a quote (\") may be missing"},
      {"parsing array", "expected ',' or ']' after an item"},
      {"parsing value",
       "expected a value: a text in double quotes, a number, true, false, null, "
       "an object or a list"},
  }};
  for (const auto& [part, words] : kWords) {
    if (reason.find(part) != reason.npos) return words;
  }
  return reason;
}

[[noreturn]] void bad_json(std::string_view text, const std::string& source,
                           const Json::exception& error) {
  const auto* const parse_error = dynamic_cast<const Json::parse_error*>(&error);
  const size_t read = parse_error != nullptr ? parse_error->byte : 0;
  const size_t byte = std::min(text.size(), read > 0 ? read - 1 : 0);
  const std::string place = read > 0 ? " at " + place_of(text, byte) : "";
  if (read > text.size()) {
    LG_FAIL(source, ": not valid JSON", place,
            ": the text ends in the middle: ", plain_reason(error.what()), ".");
  }
  LG_FAIL(source, ": not valid JSON", place, ": ", plain_reason(error.what()), ".");
}

template <typename AnyJson>
AnyJson parse_checked(std::string_view text, const std::string& source) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  using Event = typename AnyJson::parse_event_t;
  const auto watch = [&](int depth, Event event, AnyJson& parsed) {
    LG_CHECK(depth <= kMaxDepth, source, ": JSON nested deeper than ", kMaxDepth, " levels.");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.template get_ref<const std::string&>();
      LG_CHECK(keys.back().insert(key).second, source, ": the key \"", key,
               "\" stands twice in one JSON object.");
    }
    return true;
  };
  try {
    return AnyJson::parse(text.begin(), text.end(), watch);
  } catch (const typename AnyJson::exception& error) {
    bad_json(text, source, error);
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  return parse_checked<Json>(text, source);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& source) {
  return parse_checked<OrderedJson>(text, source);
}

JsonObject::JsonObject(const Json& value, std::string source, std::string path)
    : value_(value), source_(std::move(source)), path_(std::move(path)) {
  LG_CHECK(value_.is_object(), source_, path_.empty() ? "" : ": field " + path_,
           ": expected an object, found ", shown(value_), ".");
}

std::string JsonObject::where(const std::string& key) const {
  return source_ + ": field " + (path_.empty() ? "" : path_ + ".") + key;
}

void JsonObject::wrong(const std::string& key, const std::string& expected,
                       const Json& found) const {
  LG_FAIL(where(key), ": expected ", expected, ", found ", shown(found), ".");
}

bool JsonObject::has(const std::string& key) const {
  const auto it = value_.find(key);
  return it != value_.end() && !it->is_null();
}

const Json& JsonObject::raw(const std::string& key) const {
  const auto it = value_.find(key);
  LG_CHECK(it != value_.end(), where(key), " is missing.");
  return *it;
}

JsonObject JsonObject::object(const std::string& key) const {
  return {raw(key), source_, path_.empty() ? key : path_ + "." + key};
}

std::string JsonObject::string(const std::string& key) const {
  const Json& found = raw(key);
  if (!found.is_string()) wrong(key, "a string", found);
  return found.get<std::string>();
}

std::string JsonObject::string(const std::string& key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

bool JsonObject::boolean(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& found = raw(key);
  if (!found.is_boolean()) wrong(key, "true or false", found);
  return found.get<bool>();
}

int64_t JsonObject::integer(const std::string& key, int64_t low, int64_t high) const {
  const Json& found = raw(key);
  const std::string expected =
      "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!found.is_number_integer()) wrong(key, expected, found);
  const bool too_large =
      found.is_number_unsigned() && found.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (too_large || found.get<int64_t>() < low || found.get<int64_t>() > high)
    wrong(key, expected, found);
  return found.get<int64_t>();
}

int64_t JsonObject::integer(const std::string& key, int64_t low, int64_t high,
                            int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonObject::number(const std::string& key, double low, double high) const {
  const Json& found = raw(key);
  const bool good = found.is_number() && found.get<double>() >= low && found.get<double>() <= high;
  if (!good) wrong(key, detail::concat("a number from ", low, " to ", high), found);
  return found.get<double>();
}

double JsonObject::number(const std::string& key, double low, double high, double fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

std::vector<int64_t> JsonObject::integers(const std::string& key, int64_t low, int64_t high) const {
  const Json& found = raw(key);
  const std::string expected =
      "a list of integers from " + std::to_string(low) + " to " + std::to_string(high);
  if (!found.is_array()) wrong(key, expected, found);
  std::vector<int64_t> values;
  for (const Json& item : found) {
    if (!item.is_number_integer() || item.get<int64_t>() < low || item.get<int64_t>() > high) {
      wrong(key, expected, found);
    }
    values.push_back(item.get<int64_t>());
  }
  return values;
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json(const OrderedJson& value, int indent) {
  return value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace longgen
