// eval/baselines/baseline_runs.h: what evaluations ask of a model, under a cache policy, one
// sequence at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/suite/batch_replies.h"
#include "longgen/eval/suite/choice_scorer.h"
#include "longgen/model/decoder.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Does what BatchReplies, ChoiceScorer and score_tokens() do. A prompt or context is read as one,
/// then tokens one by one: those of the reply, or of each continuation.
class BaselineRuns {
 public:
  /// Asked after each layer of a chunk and between tokens, with the tokens that are read of a
  /// prompt or text, where a chunk under way counts by its share of layers. False ends the
  /// sequence.
  using GoesOn = std::function<bool(int64_t done_tokens)>;

  /// Prompts are read in chunks of `step_tokens`. The decoder must outlive it.
  BaselineRuns(const Decoder& decoder, const CachePolicy& policy, int64_t step_tokens,
               GoesOn goes_on);

  /// As BatchReplies::run().
  bool replies(const Tokenizer& tokenizer, const std::function<std::optional<ReplyRequest>()>& next,
               const std::function<void(Reply reply)>& on_reply) const;
  /// Gives the reply to one prompt; nothing where it was ended.
  std::optional<Reply> reply(const Tokenizer& tokenizer, const ReplyRequest& request) const;
  /// As ChoiceScorer::score().
  std::optional<ChoiceScores> score(std::span<const ChoiceRequest> requests) const;
  /// Gives the log-probability of each token but the first (TokenScores::logprobs) of a text that
  /// is read from its beginning: streaming keeps tokens at each one, h2o after every
  /// CachePolicy::text_step_tokens(). Nothing where it was ended. Throws Error as
  /// CachePolicy::check_text() does.
  std::optional<std::vector<float>> text_logprobs(std::span<const int32_t> ids) const;

 private:
  const Decoder& decoder_;
  CachePolicy policy_;
  int64_t step_tokens_;
  GoesOn goes_on_;
};

}  // namespace longgen
