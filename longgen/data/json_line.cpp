#include "longgen/data/json_line.h"

#include <algorithm>
#include <cstdint>

namespace longgen {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Returns the length of the string that starts at the quote text[0], its quotes included; all of
/// the text when it is not closed.
size_t string_length(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

size_t digits_length(std::string_view text) {
  const auto* const end = std::ranges::find_if_not(text, is_digit);
  return static_cast<size_t>(end - text.begin());
}

/// Returns the length of the JSON number that text starts with, 0 when it starts with none.
size_t number_length(std::string_view text) {
  size_t length = text.starts_with('-') ? 1 : 0;
  const size_t whole = digits_length(text.substr(length));
  if (whole == 0 || (whole > 1 && text[length] == '0')) return 0;
  length += whole;
  if (text.substr(length).starts_with('.')) {
    const size_t fraction = digits_length(text.substr(length + 1));
    if (fraction == 0) return 0;
    length += 1 + fraction;
  }
  const std::string_view rest = text.substr(length);
  if (rest.starts_with('e') || rest.starts_with('E')) {
    const size_t sign = rest.size() > 1 && (rest[1] == '+' || rest[1] == '-') ? 1 : 0;
    const size_t exponent = digits_length(rest.substr(1 + sign));
    if (exponent == 0) return 0;
    length += 1 + sign + exponent;
  }
  const char next = length < text.size() ? text[length] : ' ';
  return is_letter(next) || is_digit(next) || next == '.' || next == '-' || next == '+' ? 0
                                                                                        : length;
}

/// Returns the length of the number, word or string that text starts with, or 1.
size_t part_length(std::string_view text) {
  if (text[0] == '"') return string_length(text);
  if (const size_t length = number_length(text)) return length;
  if (!is_letter(text[0]) && !is_digit(text[0]) && text[0] != '-') return 1;
  const auto* const end = std::find_if_not(
      text.begin() + 1, text.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '.'; });
  return static_cast<size_t>(end - text.begin());
}

}  // namespace

std::string with_zeros_for_numbers(std::string_view line) {
  std::string result;
  result.reserve(line.size());
  while (!line.empty()) {
    const size_t length = part_length(line);
    if (number_length(line) > 0) {
      result += '0';
    } else {
      result += line.substr(0, length);
    }
    line.remove_prefix(length);
  }
  return result;
}

std::string why_not_json(std::string_view line, std::string_view parser_reason) {
  int64_t open = 0;
  char first = ' ';
  for (std::string_view rest = line; !rest.empty();) {
    const std::string_view part = rest.substr(0, part_length(rest));
    rest.remove_prefix(part.size());
    if (first == ' ' && part.find_first_of(" \t\r\n") != 0) first = part[0];
    if (part == "NaN" || part == "Infinity" || part == "-Infinity") {
      return "not valid JSON: JSON has no " + std::string(part) +
             ", which Python's json module writes. Write null";
    }
    open += part == "{" || part == "[" ? 1 : part == "}" || part == "]" ? -1 : 0;
  }
  if (open != 0 || (first != '{' && first != '[')) {
    return "not valid JSON: expected one JSON object a line, found " +
           std::string(open > 0   ? "a line that ends inside an object or array"
                       : open < 0 ? "the end of an object or array that began on an earlier line"
                                  : "a line that begins with none") +
           ". JSON over several lines is made so by jq -c . FILE, an array by jq -c '.[]' FILE";
  }
  return "not valid JSON: " + std::string(parser_reason);
}

}  // namespace longgen
