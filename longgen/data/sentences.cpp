#include "longgen/data/sentences.h"

#include <algorithm>
#include <array>

#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// After these a full stop ends no sentence, even before a capital letter.
constexpr std::array<std::string_view, 18> kAbbreviations = {
    "Mr",  "Mrs", "Ms",  "Dr",   "St", "Messrs", "Mme", "Mlle", "Rev",
    "Hon", "Gen", "Col", "Capt", "Lt", "Prof",   "Esq", "vol",  "No"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

/// Whether the word before a full stop at `stop` is an abbreviation, or "J" of "J. Smith".
bool is_abbreviated(std::string_view text, size_t stop) {
  size_t begin = stop;
  while (begin > 0 && (is_small(text[begin - 1]) || is_capital(text[begin - 1]))) --begin;
  const std::string_view word = text.substr(begin, stop - begin);
  if (word.size() == 1 && is_capital(word[0]) && word != "I") return true;
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

/// Returns the bytes of the mark at `at` that closes a quotation or a bracket; 0: none.
size_t closing_bytes(std::string_view text, size_t at) {
  for (const std::string_view mark : {"\"", "'", ")", "]", "”", "’", "»"}) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
}

/// Returns the bytes of the mark at `at` that ends a sentence; 0: none.
size_t stop_bytes(std::string_view text, size_t at) {
  const char c = text[at];
  if (c == '.' || c == '!' || c == '?') return 1;
  if (static_cast<unsigned char>(c) < 0xE3) return 0;
  for (const std::string_view mark : {"。", "！", "？"}) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
}

/// Returns where white space that starts at `at` ends, and the line breaks in it.
std::pair<size_t, int64_t> skip_space(std::string_view text, size_t at) {
  int64_t num_breaks = 0;
  for (; at < text.size() && is_space(text[at]); ++at) num_breaks += text[at] == '\n' ? 1 : 0;
  return {at, num_breaks};
}

/// Returns where the sentence ends whose last mark stands at `at`; 0: no sentence ends there.
size_t sentence_end(std::string_view text, size_t at) {
  const size_t stop = stop_bytes(text, at);
  if (stop == 0 || (text[at] == '.' && is_abbreviated(text, at))) return 0;
  size_t end = at + stop;
  while (end < text.size()) {
    const size_t closing = closing_bytes(text, end);
    if (closing == 0) break;
    end += closing;
  }
  if (end == text.size() || stop > 1) return end;  // no space follows in Chinese and Japanese
  const auto [next, num_breaks] = skip_space(text, end);
  if (next == end) return 0;
  return next == text.size() || num_breaks > 1 || !is_small(text[next]) ? end : 0;
}

/// Returns where to cut too long a sentence: at the last space, or else between characters.
size_t forced_end(std::string_view text, size_t begin) {
  const size_t limit = begin + static_cast<size_t>(kMaxSentenceBytes);
  for (size_t at = limit; at > begin; --at) {
    if (is_space(text[at])) return at;
  }
  return previous_utf8(text, limit + 1);
}

}  // namespace

std::vector<ByteRange> find_sentences(std::string_view text) {
  constexpr auto kMax = static_cast<size_t>(kMaxSentenceBytes);
  std::vector<ByteRange> sentences;
  size_t begin = skip_space(text, 0).first;
  for (size_t at = begin; at < text.size();) {
    size_t end = sentence_end(text, at);
    if (end == 0 && is_space(text[at])) {
      const auto [next, num_breaks] = skip_space(text, at);
      if (next == text.size() || num_breaks > 1) end = at;
    }
    if (end == 0 && at - begin < kMax) {
      ++at;
      continue;
    }
    if (end == 0 || end - begin > kMax) end = forced_end(text, begin);
    sentences.push_back({begin, end});
    begin = at = skip_space(text, end).first;
  }
  if (begin < text.size()) sentences.push_back({begin, text.size()});
  return sentences;
}

}  // namespace longgen
