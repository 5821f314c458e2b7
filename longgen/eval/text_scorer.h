// eval/text_scorer.h: how probable a model finds each token of a text, under a cache policy too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "longgen/engine/session.h"
#include "longgen/eval/baselines/cache_policy.h"

namespace longgen {

class TextScorer {
 public:
  /// `chunk`: tokens that pass the layers at once; h2o has steps of its own
  /// (CachePolicy::text_step_tokens()). The decoder must outlive it. Throws Error on a policy that
  /// cannot read texts or that the model cannot have.
  TextScorer(const Decoder& decoder, int64_t chunk, const std::optional<CachePolicy>& policy);

  /// Gives the log-probability of each token but the first (TokenScores::logprobs), or nothing
  /// where on_progress has said no.
  std::optional<std::vector<float>> score(std::span<const int32_t> ids,
                                          const Session::OnProgress& on_progress);

 private:
  const Decoder& decoder_;
  int64_t chunk_;
  std::optional<CachePolicy> policy_;
  std::optional<Session> session_;  // without a policy
};

}  // namespace longgen
