// tokenizer/unicode.h: the properties of characters that tokenizers ask for, at Unicode 16.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// The classes that the regexes of GPT-2, Llama 3 and Qwen tell apart: \p{L}, \p{N}, \s, the rest.
enum class CharClass : uint8_t { other = 0, letter = 1, number = 2, space = 3 };

CharClass char_class(uint32_t code_point);

/// Whether \w of Rust and Oniguruma has it: alphabetic, mark, decimal digit, connector, joiner.
bool is_word_char(uint32_t code_point);

/// Appends NFC of valid UTF-8 to `out` and returns true, or returns false when the text is in NFC
/// already. `edits`, where given, says which stretches it composed.
bool normalize_nfc_if_needed(std::string_view text, std::string& out,
                             std::vector<TextEdit>* edits = nullptr);

}  // namespace longgen
