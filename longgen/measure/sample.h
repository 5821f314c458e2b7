// measure/sample.h: what a model reads while its layers are measured: a stretch of text with facts
// hidden in it, and at its end questions about them with their answers.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/attention/pattern.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct TokenRange {
  int64_t begin = 0, end = 0;
};

struct MeasureSample {
  std::vector<int32_t> ids;
  std::vector<TokenRange> facts, answers;  ///< of each question, in the order of the questions
  /// Positions of tokens of the text that are predicted from where a sparse layer misses some
  /// before them, ascending.
  std::vector<int64_t> far_text;

  int64_t num_answer_tokens() const;
};

struct SampleOptions {
  Pattern sparse;  ///< with offsets for its KV heads
  int64_t num_kv_heads = 1;
  int64_t questions = 0;  ///< 0: kDefaultQuestions, or fewer where the text is too short for them
  uint64_t seed = 0;
};

inline constexpr int64_t kDefaultQuestions = 16, kFewestQuestions = 4;

/// Returns the first position from which some KV head does not see all positions before; `length`
/// where there is none below it.
int64_t first_far_position(const Pattern& pattern, int64_t num_kv_heads, int64_t length);

/// Gives the edges of ranges of far text (variant_values.h) where layers see `sparse`.
std::vector<int64_t> far_text_edges(const Pattern& sparse, int64_t num_kv_heads, int64_t length);

/// Makes a sample of as many tokens as `text` has, which is cut at its end. Facts stand at spread
/// depths behind the ends of sentences, in a part of the text that no sparse layer sees from the
/// questions through sink or window; their order is another one than that of the questions. The
/// result is a function of its arguments. Throws Error where the text is too short.
MeasureSample make_measure_sample(const std::vector<int32_t>& text, const Tokenizer& tokenizer,
                                  const SampleOptions& options);

}  // namespace longgen
