// tokenizer/utf8.h: UTF-8 read and written one character at a time, and the one rule for bytes that
// are not UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace longgen {

struct Utf8Char {
  uint32_t code_point = 0;
  uint32_t length = 0;  ///< bytes; of an invalid sequence its maximal subpart, at least 1
  bool valid = false;
};

/// Reads the character at `position`, which must lie inside the text.
Utf8Char decode_utf8(std::string_view text, size_t position);

/// Does the same for text known to be valid: only length and code_point, no checks.
inline Utf8Char decode_valid_utf8(const char* at) {
  const auto byte = [at](int i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(at[i]));
  };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2, true};
  if (lead < 0xF0) {
    return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3, true};
  }
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4, true};
}

/// Returns where the last character before `position` starts, in valid text.
size_t previous_utf8(std::string_view text, size_t position);

void append_utf8(uint32_t code_point, std::string& out);

bool is_valid_utf8(std::string_view text);

/// Makes each maximal subpart of an invalid sequence one U+FFFD, as Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view text);

/// Counts the bytes at the end (0 to 3) that begin a character whose rest may still come.
size_t unfinished_utf8_bytes(std::string_view text);

/// Counts the characters of valid text.
size_t count_utf8(std::string_view text);

}  // namespace longgen
