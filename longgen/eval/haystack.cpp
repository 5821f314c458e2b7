#include "longgen/eval/haystack.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/data/sentences.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr std::string_view kRefrain =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr std::string_view kDocumentEnd = "<|endoftext|>", kDocumentEndCrLf = "<|endoftext|>\r";

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

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
  for (const ByteRange& sentence : find_sentences(words)) {
    sentences_.push_back({offset + static_cast<int64_t>(sentence.begin),
                          offset + static_cast<int64_t>(sentence.end)});
  }
}

}  // namespace longgen
