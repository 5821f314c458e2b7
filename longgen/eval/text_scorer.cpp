#include "longgen/eval/text_scorer.h"

#include <utility>

#include "longgen/engine/score.h"
#include "longgen/eval/baselines/baseline_runs.h"

namespace longgen {

TextScorer::TextScorer(const Decoder& decoder, int64_t chunk,
                       const std::optional<CachePolicy>& policy)
    : decoder_(decoder), chunk_(prefill_chunk(chunk, decoder.device())), policy_(policy) {
  if (policy_) {
    policy_->check_text("[text]");
    policy_->check_model(decoder.config(), "[text]");
  } else {
    session_.emplace(decoder, chunk);
  }
}

std::optional<std::vector<float>> TextScorer::score(std::span<const int32_t> ids,
                                                    const Session::OnProgress& on_progress) {
  if (policy_) return BaselineRuns(decoder_, *policy_, chunk_, on_progress).text_logprobs(ids);
  bool goes_on = true;
  TokenScores scores = score_tokens(*session_, ids, {.on_progress = [&](int64_t done_tokens) {
    goes_on = on_progress(done_tokens);
    return goes_on;
  }});
  if (!goes_on) return std::nullopt;
  return std::move(scores.logprobs);
}

}  // namespace longgen
