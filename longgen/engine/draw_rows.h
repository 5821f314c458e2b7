// engine/draw_rows.h: what a GPU is told of the rows that it draws from, and what it tells. Plain
// data, for kernels too: C++17, without torch.
#pragma once

#include <cstdint>

namespace longgen {

/// Vocabularies beyond have no place in the keys that tokens are ordered by.
inline constexpr int64_t kMostDrawnClasses = int64_t{1} << 24;
/// As many best tokens are told of, at most.
inline constexpr int kMostBestTokens = 20;

struct TokenBias {
  int32_t token;
  double bias;
};

/// In the counts of tokens: the token stands in the prompt. The other bits count how often it was
/// generated.
inline constexpr uint32_t kInPrompt = uint32_t{1} << 31;

/// How the next token of one sequence is drawn: SamplingOptions, with all addresses on the GPU.
struct DrawRow {
  uint64_t seed;
  uint64_t draw;       ///< the number of the draw, from 0
  double temperature;  ///< 0: the most probable token
  int64_t top_k;
  double top_p, min_p;
  double repetition_penalty, frequency_penalty, presence_penalty;
  uint32_t* counts_V;       ///< which the drawn token is added to; null where no penalty asks
  const TokenBias* bias;    ///< in order of token; of one token, in the order in which they act
  const int32_t* barred;    ///< any numbers
  const uint32_t* allowed;  ///< bit t % 32 of word t / 32: token t may be drawn; null: all may
  int32_t num_bias, num_barred;
  int32_t slot;      ///< where the token is put for the next step; see DrawJob::drawn_S
  int32_t changed;   ///< its row of DrawJob::changed_CV; -1: nothing changes its logits
  int32_t logprobs;  ///< its place in DrawJob::logprobs; -1: none are wanted
  int32_t num_best;  ///< at most kMostBestTokens
};

enum class DrawStatus : int32_t {
  drawn,
  not_a_number,  ///< the logit of `token` is NaN
  infinite,      ///< the logit of `token` is +inf
  nothing,       ///< all logits are -inf
  all_barred,    ///< every token that could follow is barred
};

struct DrawnToken {
  int32_t token;
  DrawStatus status;
};

struct DrawnLogprobs {
  double logprob;
  int64_t rank;
  int32_t best[kMostBestTokens];
  double best_logprobs[kMostBestTokens];
};

/// All addresses are on the GPU.
struct DrawJob {
  const float* logits_NV;
  int64_t num_logits;   ///< V, which the softmax of logprobs is over
  int64_t num_classes;  ///< tokens below are drawn and told of; at most V
  const DrawRow* rows;  ///< (N)
  float* changed_CV;    ///< (C, num_classes), scratch
  int64_t* drawn_S;     ///< by slot; 0 where the draw failed, so that a step can go on with it
  DrawnToken* tokens;   ///< (N)
  DrawnLogprobs* logprobs;
};

}  // namespace longgen
