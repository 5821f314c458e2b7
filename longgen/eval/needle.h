// eval/needle.h: RULER's single needle (niah_single with words as keys and numbers as values): one
// sentence with a number is hidden in a long text, and the model is asked for the number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/eval/counted_haystack.h"
#include "longgen/eval/prompt_fitter.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct NeedleOptions {
  int64_t new_tokens = 128;  ///< room kept for the reply; 128 is RULER's
  uint64_t seed = 42;        ///< 42 is RULER's
  /// The chat format, whose tokens count. Where it is empty, the prompt is plain text.
  PromptWrap wrap = {};
};

struct NeedleSample {
  std::vector<int32_t> ids;         ///< what the model is given
  std::string text;                 ///< the same as text, without the BOS that ids begin with
  std::string key;                  ///< "quiet-harbor"
  std::string answer;               ///< seven digits; stands in the text once
  std::string needle;               ///< the sentence that holds both
  int64_t needle_begin_tokens = 0;  ///< the needle's first token is ids[needle_begin_tokens]
  int64_t num_sentences = 0;        ///< of the haystack, without the needle
  double depth_percent = 0;         ///< share of the haystack's tokens that stand before the needle
};

/// Makes samples. One object makes all cells of a grid, because it remembers how many tokens each
/// sentence takes. It serves one thread at a time.
class NeedleTask {
 public:
  /// The tokenizer must outlive the task.
  NeedleTask(const Tokenizer& tokenizer, Haystack haystack, NeedleOptions options = {});

  /// The sample of one cell and index: a function of (tokenizer, haystack, options, arguments),
  /// whatever else was asked before.
  ///   length_tokens  prompt + new_tokens take at most that many and at most one sentence of the
  ///                  haystack less; up to kMaxLengthTokens
  ///   depth_percent  0 to 100; the needle stands at the sentence boundary nearest to it (0: before
  ///                  the first sentence, 100: after the last)
  ///   index          0, 1, ... for the samples of a cell
  /// A haystack of text starts at a sentence drawn at random and is repeated when it is too short.
  /// Sentences that spell a special token of the tokenizer are left out: the model would take them
  /// for a turn of conversation. One that two sentences spell together is the characters it is made
  /// of.
  /// Throws Error on arguments out of range, when the length has no room for the question, and when
  /// wrap() changes the prompt.
  NeedleSample sample(int64_t length_tokens, double depth_percent, int64_t index) const;

  const Haystack& haystack() const { return haystack_.haystack(); }
  const NeedleOptions& options() const { return options_; }

  static constexpr int64_t kMaxLengthTokens = int64_t{1} << 26;

 private:
  struct Cell {
    int64_t length_tokens;
    double depth_percent;
    int64_t first_sentence;
  };

  void fill(const Cell& cell, NeedleSample& sample) const;

  CountedHaystack haystack_;
  NeedleOptions options_;
  PromptFitter fitter_;
};

}  // namespace longgen
