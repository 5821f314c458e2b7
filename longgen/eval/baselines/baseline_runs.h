// eval/baselines/baseline_runs.h: what suites ask of a model, under a cache policy, one sequence at
// a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/suite/batch_replies.h"
#include "longgen/eval/suite/choice_scorer.h"
#include "longgen/model/decoder.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Does what BatchReplies and ChoiceScorer do. A prompt or context is read as one, then tokens one
/// by one: those of the reply, or of each continuation.
class BaselineRuns {
 public:
  /// Prompts are read in chunks of `step_tokens`. `goes_on` is asked after each layer of a chunk
  /// and between tokens. The decoder must outlive it.
  BaselineRuns(const Decoder& decoder, const CachePolicy& policy, int64_t step_tokens,
               std::function<bool()> goes_on);

  /// As BatchReplies::run().
  bool replies(const Tokenizer& tokenizer, const std::function<std::optional<ReplyRequest>()>& next,
               const std::function<void(Reply reply)>& on_reply) const;
  /// As ChoiceScorer::score().
  std::optional<ChoiceScores> score(std::span<const ChoiceRequest> requests) const;

 private:
  std::optional<Reply> reply(const Tokenizer& tokenizer, const ReplyRequest& request) const;

  const Decoder& decoder_;
  CachePolicy policy_;
  int64_t step_tokens_;
  std::function<bool()> goes_on_;
};

}  // namespace longgen
