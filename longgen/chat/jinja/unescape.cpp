// unescape() of characters.h.
#include "longgen/base/check.h"
#include "longgen/chat/jinja/characters.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Reads exactly `count` hex digits from `at` on.
bool read_hex(std::string_view literal, size_t at, size_t count, uint32_t& code_point) {
  code_point = 0;
  for (size_t i = 0; i < count; ++i) {
    const int value = at + i < literal.size() ? hex_value(literal[at + i]) : -1;
    if (value < 0) return false;
    code_point = code_point << 4 | static_cast<uint32_t>(value);
  }
  return code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
}

size_t read_octal(std::string_view literal, size_t at, uint32_t& code_point) {
  code_point = 0;
  size_t length = 0;
  while (length < 3 && at + length < literal.size() && literal[at + length] >= '0' &&
         literal[at + length] <= '7') {
    code_point = code_point * 8 + static_cast<uint32_t>(literal[at + length++] - '0');
  }
  return length;
}

}  // namespace

std::string unescape(std::string_view literal, std::string& problem) {
  static constexpr std::string_view kNames = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t at = 0; at < literal.size();) {
    const char c = literal[at++];
    if (c != '\\' || at == literal.size()) {
      out.push_back(c);
      continue;
    }
    const char mark = literal[at++];
    uint32_t code_point = 0;
    if (const size_t known = kNames.find(mark); known != std::string_view::npos) {
      out.push_back(kValues[known]);
    } else if (mark == '\n') {
      continue;  // the literal goes on in the next line
    } else if (mark == 'x' || mark == 'u' || mark == 'U') {
      const size_t digits = mark == 'x' ? 2 : mark == 'u' ? 4 : 8;
      if (!read_hex(literal, at, digits, code_point)) {
        problem =
            detail::concat("expected the ", digits, " hex digits of a character after \\", mark);
        return out;
      }
      append_utf8(code_point, out);
      at += digits;
    } else if (const size_t length = read_octal(literal, at - 1, code_point); length > 0) {
      append_utf8(code_point, out);
      at += length - 1;
    } else if (mark == 'N') {
      problem = "characters by name (\\N{...}) are not supported";
      return out;
    } else {
      out += {'\\', mark};
    }
  }
  return out;
}

}  // namespace longgen::jinja
