#include "longgen/engine/draw_setup.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {

DrawRow draw_row(const SamplingOptions& options) {
  return {.seed = options.seed,
          .draw = 0,
          .temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .frequency_penalty = options.frequency_penalty,
          .presence_penalty = options.presence_penalty,
          .counts_V = nullptr,
          .bias = nullptr,
          .barred = nullptr,
          .allowed = nullptr,
          .num_bias = 0,
          .num_barred = 0,
          .slot = 0,
          .changed = -1,
          .logprobs = -1,
          .num_best = 0};
}

std::vector<TokenBias> sorted_bias(const SamplingOptions& options) {
  std::vector<TokenBias> bias;
  for (const LogitBias& of_token : options.logit_bias) {
    bias.push_back({of_token.token, of_token.bias});
  }
  std::stable_sort(bias.begin(), bias.end(),
                   [](const TokenBias& a, const TokenBias& b) { return a.token < b.token; });
  return bias;
}

bool counts_tokens(const SamplingOptions& options) {
  return options.repetition_penalty != 1 || options.frequency_penalty != 0 ||
         options.presence_penalty != 0;
}

std::vector<uint32_t> first_counts(std::span<const int32_t> prompt, int64_t num_classes) {
  std::vector<uint32_t> counts(static_cast<size_t>(num_classes));
  for (const int32_t id : prompt) {
    LG_CHECK(id >= 0 && id < num_classes, "[sample] expected tokens from 0 to ", num_classes - 1,
             ", found ", id, ".");
    counts[static_cast<size_t>(id)] = kInPrompt;
  }
  return counts;
}

std::string draw_error(const DrawnToken& failed, int64_t step, int64_t num_classes) {
  const std::string where = detail::concat("[sample] step ", step, ": ");
  const auto bad_logit = [&](const char* what) {
    return detail::concat(where, "the logit of token ", failed.token, " is ", what,
                          ", expected a number. The model's weights are damaged or the "
                          "computation overflowed.");
  };
  switch (failed.status) {
    case DrawStatus::drawn:
      break;
    case DrawStatus::not_a_number:
      return bad_logit("NaN");
    case DrawStatus::infinite:
      return bad_logit("infinite");
    case DrawStatus::nothing:
      return detail::concat(where, "all ", num_classes,
                            " logits are -inf, so no token can follow.");
    case DrawStatus::all_barred:
      return where + "every token that could follow is barred.";
  }
  LG_FAIL("[longgen] internal error: a draw that failed without a reason. Please report this.");
}

TokenLogprobs told_logprobs(const DrawnLogprobs& drawn, int64_t num_best) {
  TokenLogprobs told = {drawn.logprob, drawn.rank, {}};
  for (int64_t i = 0; i < num_best; ++i) {
    told.best.push_back({drawn.best[i], drawn.best_logprobs[i]});
  }
  return told;
}

}  // namespace longgen
