// tokenizer/byte_alphabet.h: the printable characters that stand for the 256 bytes in byte-level
// vocabularies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longgen {

/// The character for a byte, in UTF-8: printable Latin-1 stands for itself, the other 68 bytes for
/// U+0100 onwards.
const std::string& byte_to_char(unsigned char byte);

/// The bytes a token stands for ("Ġthe" -> " the"); nothing when one of its characters stands for
/// no byte.
std::optional<std::string> chars_to_bytes(std::string_view token);

}  // namespace longgen
