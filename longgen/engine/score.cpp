#include "longgen/engine/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

// How many rows of logits exist at once: 64 rows of a vocabulary of 150,000 are 37 MiB.
constexpr int64_t kRows = 64;

/// The `count` largest of one row.
std::vector<std::pair<int32_t, float>> best_of(std::span<const float> logprobs, int64_t count) {
  std::vector<int32_t> ids(logprobs.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const auto more_probable = [&](int32_t a, int32_t b) {
    return logprobs[a] != logprobs[b] ? logprobs[a] > logprobs[b] : a < b;
  };
  count = std::min<int64_t>(count, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), more_probable);
  std::vector<std::pair<int32_t, float>> best;
  for (int64_t i = 0; i < count; ++i) best.emplace_back(ids[i], logprobs[ids[i]]);
  return best;
}

void add_top(const Decoder& decoder, const at::Tensor& hidden_TE, const ScoreOptions& options,
             TokenScores& scores) {
  for (int64_t row = 0; row < hidden_TE.size(0); row += kRows) {
    const int64_t rows = std::min(kRows, hidden_TE.size(0) - row);
    const at::Tensor logprobs_TV =
        at::log_softmax(decoder.logits(hidden_TE.narrow(0, row, rows)), 1).cpu().contiguous();
    const auto* values = logprobs_TV.const_data_ptr<float>();
    const int64_t vocab = logprobs_TV.size(1);
    const int64_t known = options.vocab_size > 0 ? std::min(options.vocab_size, vocab) : vocab;
    for (int64_t r = 0; r < rows; ++r) {
      scores.top.push_back(best_of({values + r * vocab, static_cast<size_t>(known)}, options.top));
    }
  }
}

}  // namespace

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
    const at::NoGradGuard no_grad;
    add_top(decoder, hidden_TE.narrow(0, 0, std::ssize(logprobs)), options, scores);
  };
  session.append(ids, add, options.on_progress);
  return scores;
}

}  // namespace longgen
