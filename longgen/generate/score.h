// generate/score.h: how probable a model finds given tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "longgen/generate/session.h"

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
  Session::OnChunk on_chunk = {};
};

/// Clears the session, then scores ids chunk by chunk: logits exist for some rows at a time only.
/// Throws Error as Session::append() does, and on a `top` that is negative.
TokenScores score_tokens(Session& session, std::span<const int32_t> ids,
                         const ScoreOptions& options = {});

}  // namespace longgen
