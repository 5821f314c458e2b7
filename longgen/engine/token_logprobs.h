// engine/token_logprobs.h: what is told of a token at its place: how probable the model found it,
// and which tokens it found more so.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longgen {

struct TokenLogprob {
  int32_t token;
  double logprob;  ///< natural logarithm; may be minus infinity
  bool operator==(const TokenLogprob&) const = default;
};

/// A token with the best ones of its place, the most probable one first.
struct TokenLogprobs {
  double logprob;
  int64_t rank;  ///< 1: the most probable one
  std::vector<TokenLogprob> best;
};

/// Gives the `count` most probable tokens, best first, of equal ones the lower id; all, where there
/// are fewer. No logarithm is NaN.
std::vector<TokenLogprob> best_tokens(std::span<const float> logprobs_V, int64_t count);

/// Describes a token of [0, V) with the `num_best` most probable ones.
TokenLogprobs describe_token(std::span<const float> logprobs_V, int32_t token, int64_t num_best);

}  // namespace longgen
