// eval/counted_haystack.h: a haystack whose sentences' tokens are counted once.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/eval/haystack.h"
#include "longgen/eval/passage.h"

namespace longgen {

/// Gives passages of a haystack and remembers how many tokens each sentence takes, so that only the
/// first passages take time. It serves one thread at a time.
class CountedHaystack {
 public:
  /// The tokenizer must outlive the object.
  CountedHaystack(const Tokenizer& tokenizer, Haystack haystack);

  const Haystack& haystack() const { return haystack_; }

  /// Returns the sentences from first_sentence on, which is in [0, num_sentences()); after the last
  /// comes the first again. Sentences that spell a special token of the tokenizer are left out: the
  /// model would take them for a turn of conversation. So are those of fewer than
  /// min_sentence_tokens. Passage::most() throws Error where none is left. The object must outlive
  /// the passage.
  Passage passage(int64_t first_sentence, int64_t min_sentence_tokens = 0) const;

 private:
  int64_t sentence_tokens(int64_t sentence) const;

  const Tokenizer& tokenizer_;
  Haystack haystack_;
  mutable std::vector<int32_t> counts_;  // tokens of each sentence; 0: not counted, -1: left out
};

}  // namespace longgen
