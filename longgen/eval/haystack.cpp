#include "longgen/eval/haystack.h"

#include <algorithm>
#include <array>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr std::string_view kRefrain =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr std::string_view kDocumentEnd = "<|endoftext|>", kDocumentEndCrLf = "<|endoftext|>\r";

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
  for (const std::string_view mark : {".", "!", "?", "。", "！", "？"}) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
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
  return text[end] == ' ' && end + 1 < text.size() && !is_small(text[end + 1]) ? end : 0;
}

/// Returns where to cut too long a sentence: at the last space, or else between characters.
size_t forced_end(std::string_view text, size_t begin) {
  const size_t limit = begin + static_cast<size_t>(Haystack::kMaxSentenceBytes);
  const size_t space = text.rfind(' ', limit);
  if (space != std::string_view::npos && space > begin) return space;
  return previous_utf8(text, limit + 1);
}

}  // namespace

Haystack Haystack::noise() {
  Haystack haystack;
  haystack.text_ = kRefrain;
  haystack.sentences_ = {{0, static_cast<int64_t>(kRefrain.size())}};
  haystack.separator_ = "\n";
  haystack.kind_ = "noise";
  haystack.source_ = "refrain";
  return haystack;
}

Haystack Haystack::from_text(std::string_view text, const std::string& source) {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  Haystack haystack;
  haystack.separator_ = " ";
  haystack.kind_ = "text";
  haystack.source_ = source;
  std::string words;  // of the paragraph, one space between them
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line == kDocumentEnd || line == kDocumentEndCrLf) line = "";
    const size_t before = words.size();
    bool in_word = false;
    for (const char c : line) {
      if (!is_space(c) && !in_word && !words.empty()) words += ' ';
      in_word = !is_space(c);
      if (in_word) words += c;
    }
    if (words.size() == before || end == text.size()) {  // a blank line, or the last one
      haystack.add_paragraph(words);
      words.clear();
    }
    at = end + 1;
  }
  LG_CHECK(!haystack.sentences_.empty(), source,
           ": expected a text to hide the needle in, found no words. Give a longer text or use the "
           "noise haystack.");
  return haystack;
}

std::string_view Haystack::sentence(int64_t i) const {
  const Range range = sentences_.at(static_cast<size_t>(i));
  return std::string_view(text_).substr(static_cast<size_t>(range.begin),
                                        static_cast<size_t>(range.end - range.begin));
}

void Haystack::add_paragraph(std::string_view words) {
  const auto offset = static_cast<int64_t>(text_.size());
  text_ += words;
  const auto add = [&](size_t begin, size_t end) {
    sentences_.push_back(
        {offset + static_cast<int64_t>(begin), offset + static_cast<int64_t>(end)});
  };
  constexpr auto kMax = static_cast<size_t>(kMaxSentenceBytes);
  size_t begin = 0;
  for (size_t at = 0; at < words.size(); ++at) {
    size_t end = sentence_end(words, at);
    if (end == 0 && at - begin < kMax) continue;
    if (end == 0 || end - begin > kMax) end = forced_end(words, begin);
    add(begin, end);
    begin = end + (end < words.size() && words[end] == ' ' ? 1 : 0);
    at = begin - 1;
  }
  if (begin < words.size()) add(begin, words.size());
}

}  // namespace longgen
