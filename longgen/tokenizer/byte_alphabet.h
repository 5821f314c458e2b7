// tokenizer/byte_alphabet.h: the characters that stand for the 256 bytes in a vocabulary.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longgen {

/// Gives the character for a byte, in UTF-8: printable Latin-1 stands for itself, the other 68
/// bytes for U+0100 onwards.
const std::string& byte_to_char(unsigned char byte);

/// Gives the bytes that a token stands for ("Ġthe" -> " the"); nothing when one of its characters
/// stands for no byte.
std::optional<std::string> chars_to_bytes(std::string_view token);

}  // namespace longgen
