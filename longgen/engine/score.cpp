#include "longgen/engine/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/engine/token_logprobs.h"
#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

// How many rows of logits exist at once: 64 rows of a vocabulary of 150,000 are 37 MiB.
constexpr int64_t kRows = 64;

std::vector<std::pair<int32_t, float>> top_of(std::span<const float> logprobs_V,
                                              const ScoreOptions& options) {
  const auto known = static_cast<size_t>(options.vocab_size);
  if (known > 0 && known < logprobs_V.size()) logprobs_V = logprobs_V.first(known);
  std::vector<std::pair<int32_t, float>> top;
  for (const auto& [token, logprob] : best_tokens(logprobs_V, options.top)) {
    top.emplace_back(token, static_cast<float>(logprob));
  }
  return top;
}

}  // namespace

void visit_logprobs(const Decoder& decoder, const at::Tensor& hidden_TE,
                    const std::function<void(std::span<const float>)>& visit) {
  const at::NoGradGuard no_grad;
  for (int64_t row = 0; row < hidden_TE.size(0); row += kRows) {
    const int64_t rows = std::min(kRows, hidden_TE.size(0) - row);
    const at::Tensor logprobs_TV =
        at::log_softmax(decoder.logits(hidden_TE.narrow(0, row, rows)), 1).cpu().contiguous();
    const auto vocab_size = static_cast<size_t>(logprobs_TV.size(1));
    const std::span all(logprobs_TV.const_data_ptr<float>(), vocab_size * rows);
    for (int64_t r = 0; r < rows; ++r) visit(all.subspan(r * vocab_size, vocab_size));
  }
}

std::vector<float> next_token_logprobs(const Decoder& decoder, const at::Tensor& hidden_TE,
                                       std::span<const int32_t> ids, int64_t first) {
  const int64_t rows = std::min(hidden_TE.size(0), std::ssize(ids) - 1 - first);
  if (rows <= 0) return {};
  const at::NoGradGuard no_grad;
  const at::Tensor targets_T = at::empty({rows}, at::kLong);
  std::copy_n(ids.begin() + first + 1, rows, targets_T.data_ptr<int64_t>());
  const at::Tensor logprobs_T =
      target_logprobs(hidden_TE.narrow(0, 0, rows), decoder.weights().head_VE,
                      targets_T.to(decoder.device()))
          .cpu()
          .contiguous();
  const auto* values = logprobs_T.const_data_ptr<float>();
  return {values, values + rows};
}

TokenScores score_tokens(Session& session, std::span<const int32_t> ids,
                         const ScoreOptions& options) {
  LG_CHECK(options.top >= 0, "[score] expected a top of 0 or more, found ", options.top, ".");
  const Decoder& decoder = session.decoder();
  TokenScores scores;
  scores.logprobs.reserve(ids.size());
  session.clear();
  const auto add = [&](const at::Tensor& hidden_TE, int64_t first) {
    const std::vector<float> logprobs = next_token_logprobs(decoder, hidden_TE, ids, first);
    scores.logprobs.insert(scores.logprobs.end(), logprobs.begin(), logprobs.end());
    if (options.top == 0 || logprobs.empty()) return;
    visit_logprobs(decoder, hidden_TE.narrow(0, 0, std::ssize(logprobs)),
                   [&](std::span<const float> logprobs_V) {
                     scores.top.push_back(top_of(logprobs_V, options));
                   });
  };
  session.append(ids, add, options.on_progress);
  return scores;
}

}  // namespace longgen
