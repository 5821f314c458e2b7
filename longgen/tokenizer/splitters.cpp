#include "longgen/tokenizer/splitters.h"

#include <array>

#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

struct Classified {
  CharClass kind;
  uint32_t length;
};

constexpr std::array<CharClass, 128> make_ascii() {
  std::array<CharClass, 128> table{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= 9 && c <= 13);
    table[static_cast<size_t>(c)] = letter                 ? CharClass::letter
                                    : c >= '0' && c <= '9' ? CharClass::number
                                    : space                ? CharClass::space
                                                           : CharClass::other;
  }
  return table;
}

constexpr std::array<CharClass, 128> kAscii = make_ascii();

inline Classified classify(std::string_view text, size_t position) {
  const auto lead = static_cast<unsigned char>(text[position]);
  if (lead < 0x80) return {kAscii[lead], 1};
  const Utf8Char c = decode_valid_utf8(text.data() + position);
  return {char_class(c.code_point), c.length};
}

inline bool is_newline(char c) { return c == '\r' || c == '\n'; }

/// Returns the end of the run of one class that goes on at `position`.
inline size_t run_end(std::string_view text, size_t position, CharClass kind) {
  while (position < text.size()) {
    const Classified c = classify(text, position);
    if (c.kind != kind) break;
    position += c.length;
  }
  return position;
}

/// Matches \s+(?!\S)|\s+ : all the white space but its last character, which the next word takes.
size_t space_end(std::string_view text, size_t position) {
  const size_t end = run_end(text, position, CharClass::space);
  if (end == text.size()) return end;
  const size_t last = previous_utf8(text, end);
  return last > position ? last : end;
}

/// Returns the length of 's 't 're 've 'm 'll 'd at an apostrophe, 0 when there is none. With
/// `fold` they may be capitals, or have U+017F, the long s, which is a case of s.
size_t contraction(std::string_view rest, bool fold) {
  const auto letter = [&](size_t i) {
    const char c = i < rest.size() ? rest[i] : '\0';
    return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return fold && rest.substr(1).starts_with("\xC5\xBF") ? 3 : 0;
}

size_t gpt2_word(std::string_view text, size_t position) {
  if (text[position] == '\'') {
    if (const size_t length = contraction(text.substr(position), false)) return position + length;
  }
  const Classified first = classify(text, position);
  if (first.kind != CharClass::space) return run_end(text, position + first.length, first.kind);
  if (text[position] == ' ' && position + 1 < text.size()) {
    const Classified second = classify(text, position + 1);
    if (second.kind != CharClass::space) {
      return run_end(text, position + 1 + second.length, second.kind);
    }
  }
  return space_end(text, position);
}

/// Matches ` ?[^\s\p{L}\p{N}]+[\r\n]*` behind its first character.
size_t symbols_end(std::string_view text, size_t position) {
  position = run_end(text, position, CharClass::other);
  while (position < text.size() && is_newline(text[position])) ++position;
  return position;
}

/// Matches `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line end in the white space, if there is one.
size_t space_or_lines_end(std::string_view text, size_t position) {
  const size_t end = run_end(text, position, CharClass::space);
  for (size_t i = end; i > position; --i) {
    if (is_newline(text[i - 1])) return i;
  }
  if (end == text.size()) return end;
  const size_t last = previous_utf8(text, end);
  return last > position ? last : end;
}

template <int kMaxDigits>
size_t llama3_word(std::string_view text, size_t position) {
  if (text[position] == '\'') {
    if (const size_t length = contraction(text.substr(position), true)) return position + length;
  }
  const Classified first = classify(text, position);
  size_t next = position + first.length;
  if (first.kind == CharClass::letter) return run_end(text, next, CharClass::letter);
  if (first.kind == CharClass::number) {
    for (int i = 1; i < kMaxDigits && next < text.size(); ++i) {
      const Classified digit = classify(text, next);
      if (digit.kind != CharClass::number) break;
      next += digit.length;
    }
    return next;
  }
  if (next < text.size() && !is_newline(text[position])) {
    const Classified second = classify(text, next);
    if (second.kind == CharClass::letter) {
      return run_end(text, next + second.length, CharClass::letter);
    }
    if (text[position] == ' ' && second.kind == CharClass::other) {
      return symbols_end(text, next + second.length);
    }
  }
  if (first.kind == CharClass::other) return symbols_end(text, next);
  return space_or_lines_end(text, position);
}

}  // namespace

Splitter find_splitter(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return gpt2_word;
  if (pattern == kLlama3Pattern) return llama3_word<3>;
  if (pattern == kQwen2Pattern) return llama3_word<1>;
  return nullptr;
}

}  // namespace longgen
