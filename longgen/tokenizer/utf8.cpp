#include "longgen/tokenizer/utf8.h"

#include <cstring>

namespace longgen {
namespace {

struct Lead {
  uint32_t length;          // of the whole character, 0 for bytes that cannot start one
  unsigned char low, high;  // allowed range of the second byte (Unicode, table 3-7)
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // nothing above U+10FFFF
  return {0, 0, 0};
}

/// Counts the lead's bytes that are there and in range; 0 for a bad lead.
uint32_t good_bytes(std::string_view text, size_t position, const Lead& lead) {
  if (lead.length == 0) return 0;
  uint32_t count = 1;
  while (count < lead.length && position + count < text.size()) {
    const auto byte = static_cast<unsigned char>(text[position + count]);
    const bool good = count == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!good) break;
    ++count;
  }
  return count;
}

bool eight_ascii(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return (word & 0x8080808080808080u) == 0;
}

/// Returns where the first invalid sequence starts; the size when there is none.
size_t first_invalid(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size() && eight_ascii(text.data() + i)) {
      i += 8;
      continue;
    }
    const Lead lead = lead_of(static_cast<unsigned char>(text[i]));
    if (lead.length == 0 || good_bytes(text, i, lead) != lead.length) return i;
    i += lead.length;
  }
  return i;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, size_t position) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[position]));
  const uint32_t good = good_bytes(text, position, lead);
  if (good == 0) return {0xFFFD, 1, false};
  if (good < lead.length) return {0xFFFD, good, false};
  return decode_valid_utf8(text.data() + position);
}

size_t previous_utf8(std::string_view text, size_t position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80);
  return position;
}

void append_utf8(uint32_t code_point, std::string& out) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) { return first_invalid(text) == text.size(); }

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t i = 0;
  while (i < text.size()) {
    const size_t good = first_invalid(text.substr(i));
    out.append(text.substr(i, good));
    i += good;
    if (i == text.size()) break;
    append_utf8(0xFFFD, out);
    i += decode_utf8(text, i).length;
  }
  return out;
}

size_t unfinished_utf8_bytes(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t start = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[start]);
    if ((byte & 0xC0) == 0x80) continue;
    const Lead lead = lead_of(byte);
    return lead.length > back && good_bytes(text, start, lead) == back ? back : 0;
  }
  return 0;
}

size_t count_utf8(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

}  // namespace longgen
