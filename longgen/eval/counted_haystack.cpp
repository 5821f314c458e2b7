#include "longgen/eval/counted_haystack.h"

#include <optional>
#include <string>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int32_t kUnknown = 0, kLeftOut = -1;

}  // namespace

CountedHaystack::CountedHaystack(const Tokenizer& tokenizer, Haystack haystack)
    : tokenizer_(tokenizer),
      haystack_(std::move(haystack)),
      counts_(static_cast<size_t>(haystack_.num_sentences()), kUnknown) {}

int64_t CountedHaystack::sentence_tokens(int64_t sentence) const {
  int32_t& count = counts_[static_cast<size_t>(sentence)];
  if (count == kUnknown) {
    count = static_cast<int32_t>(
        added_tokens(tokenizer_, haystack_.separator(), haystack_.sentence(sentence))
            .value_or(kLeftOut));
  }
  return count;
}

Passage CountedHaystack::passage(int64_t first_sentence, int64_t min_sentence_tokens) const {
  const auto next = [this, at = first_sentence, min_sentence_tokens]() mutable {
    const int64_t num_sentences = haystack_.num_sentences();
    for (int64_t left_out = 0; left_out < num_sentences; ++left_out) {
      const int64_t sentence = at;
      at = (at + 1) % num_sentences;
      const int64_t tokens = sentence_tokens(sentence);
      if (tokens == kLeftOut || tokens < min_sentence_tokens) continue;
      return std::optional<Piece>({std::string(haystack_.sentence(sentence)), tokens});
    }
    LG_FAIL(haystack_.source(),
            ": expected sentences to hide the needle among, found that every one of them spells "
            "a special token of the tokenizer",
            min_sentence_tokens == 0
                ? ""
                : detail::concat(" or is shorter than ", min_sentence_tokens, " tokens"),
            ". Give another text.");
  };
  return Passage(next, std::string(haystack_.separator()));
}

}  // namespace longgen
