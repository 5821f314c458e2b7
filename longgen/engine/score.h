// engine/score.h: how probable a model finds given tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "longgen/engine/session.h"

namespace longgen {

struct TokenScores {
  /// (T - 1) natural logarithms: entry i is that of ids[i + 1] given ids[0 ... i].
  std::vector<float> logprobs;
  /// (T - 1) the most probable tokens of the same places with their logarithms, best first (of
  /// equal ones the lower id); empty unless asked for.
  std::vector<std::vector<std::pair<int32_t, float>>> top;
};

struct ScoreOptions {
  int64_t top = 0;  ///< how many of the most probable tokens to give; at most the vocabulary
  /// Tokens from here on are not among them: models whose vocabulary is padded beyond the
  /// tokenizer's. They keep their share of the probability. 0: the model's vocabulary.
  int64_t vocab_size = 0;
  Session::OnProgress on_progress = {};
};

/// Gives the log-probabilities of ids[first + 1], ids[first + 2], ... by the hidden states (T, E)
/// of ids[first], ids[first + 1], ...: T of them, or T - 1 where the last row is that of the last
/// id. Logits exist for some rows at a time only.
std::vector<float> next_token_logprobs(const Decoder& decoder, const at::Tensor& hidden_TE,
                                       std::span<const int32_t> ids, int64_t first);

/// Calls `visit` for each row of hidden states (T, E) with the logarithms of the probabilities (V)
/// of what follows it. Logits exist for some rows at a time only.
void visit_logprobs(const Decoder& decoder, const at::Tensor& hidden_TE,
                    const std::function<void(std::span<const float> logprobs_V)>& visit);

/// Clears the session, then scores ids chunk by chunk: logits exist for some rows at a time only.
/// Where on_progress ends it, the scores are those of the chunks so far.
/// Throws Error as Session::append() does, and on a `top` that is negative.
TokenScores score_tokens(Session& session, std::span<const int32_t> ids,
                         const ScoreOptions& options = {});

}  // namespace longgen
