// chat/jinja/characters.h: characters as Python sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace longgen::jinja {

/// str.isspace() of one character.
bool is_space(uint32_t code_point);
/// Bytes of white space at the beginning and at the end of valid UTF-8.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

/// What the escapes of a Python string literal stand for. On a fault `problem` says which.
std::string unescape(std::string_view literal, std::string& problem);

/// str.upper(), lower() and title() of one character; may give several.
std::string upper(uint32_t code_point);
std::string lower(uint32_t code_point);
std::string title(uint32_t code_point);
/// Whether the character has case, and which.
bool is_upper(uint32_t code_point);
bool is_lower(uint32_t code_point);
bool is_cased(uint32_t code_point);
/// Marks and signs that stand within words: they do not end one before a final sigma.
bool is_case_ignorable(uint32_t code_point);
/// str.isalpha(), isdecimal(), isdigit() and isalnum() of one character.
bool is_alpha(uint32_t code_point);
bool is_decimal(uint32_t code_point);
bool is_digit(uint32_t code_point);
bool is_alnum(uint32_t code_point);

}  // namespace longgen::jinja
