#include "longgen/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr uint32_t kFirstStandIn = 0x100;

bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

struct Alphabet {
  std::array<std::string, 256> chars;
  std::array<int16_t, kFirstStandIn + 68> bytes;

  Alphabet() {
    bytes.fill(-1);
    uint32_t stand_in = kFirstStandIn;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t code_point = stands_for_itself(byte) ? byte : stand_in++;
      append_utf8(code_point, chars[byte]);
      bytes[code_point] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::string& byte_to_char(unsigned char byte) { return alphabet().chars[byte]; }

std::optional<std::string> chars_to_bytes(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size();) {
    const Utf8Char c = decode_utf8(token, i);
    if (!c.valid || c.code_point >= alphabet().bytes.size()) return std::nullopt;
    const int16_t byte = alphabet().bytes[c.code_point];
    if (byte < 0) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    i += c.length;
  }
  return out;
}

}  // namespace longgen
