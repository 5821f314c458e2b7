// eval/suite/choice_scorer.h: log-likelihoods of continuations, many at once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/eval/suite/item_result.h"

namespace longgen {

/// Continuations of one context.
struct ChoiceRequest {
  std::vector<int32_t> context;                     ///< at least one token
  std::vector<std::vector<int32_t>> continuations;  ///< each of at least one token
};

/// Scores in the order of the requests' continuations.
using ChoiceScores = std::vector<std::vector<ContinuationScore>>;

/// Each context passes the layers once, with those of other requests; its continuations are forks
/// that share its pages. Results agree with those of a request alone to rounding (see Engine).
class ChoiceScorer {
 public:
  /// `step_tokens`: what passes the layers at once. The engine must outlive it.
  ChoiceScorer(Engine& engine, int64_t step_tokens) : engine_(engine), step_tokens_(step_tokens) {}

  /// Nothing where `goes_on` has said no. No sequence stays in the engine. Throws Error as
  /// pass_packed() does.
  std::optional<ChoiceScores> score(std::span<const ChoiceRequest> requests,
                                    const std::function<bool()>& goes_on);

 private:
  Engine& engine_;
  int64_t step_tokens_;
};

}  // namespace longgen
