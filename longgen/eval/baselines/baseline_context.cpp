#include "longgen/eval/baselines/baseline_context.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool1d.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// Scores that exist at once, of some rows of a pass: 256 MiB.
constexpr int64_t kMostScores = int64_t{1} << 26;

/// Takes queries (R, H, D) to (K, G * R, D) fp32: those of the G query heads of each KV head.
at::Tensor by_kv_head(const at::Tensor& q_RHD, int64_t num_kv_heads) {
  return q_RHD.unflatten(1, {num_kv_heads, -1}).permute({1, 2, 0, 3}).flatten(1, 2).to(at::kFloat);
}

}  // namespace

BaselineContext::BaselineContext(const Decoder& decoder, const CachePolicy& policy)
    : decoder_(&decoder),
      policy_(policy),
      layers_(static_cast<size_t>(decoder.config().num_layers)) {
  policy.check_model(decoder.config(), "[baseline]");
}

void BaselineContext::begin_prompt(int64_t num_tokens, bool is_last) {
  LG_CHECK(num_tokens > 0 && pass_ == Pass::prompt,
           "[baseline] expected tokens of a prompt that has not ended, found ", num_tokens,
           pass_ == Pass::prompt ? "." : " after its end.");
  begin(num_tokens, is_last ? Pass::end_of_prompt : Pass::prompt);
}

void BaselineContext::begin_step(int64_t num_tokens) {
  LG_CHECK(num_tokens > 0, "[baseline] expected tokens of a step, found ", num_tokens, ".");
  LG_CHECK(pass_ != Pass::prompt, "[baseline] a step before the end of the prompt.");
  begin(num_tokens, Pass::step);
}

void BaselineContext::begin(int64_t num_tokens, Pass pass) {
  pass_ = pass;
  positions_T_ = at::arange(num_tokens_, num_tokens_ + num_tokens, at::kLong);
  num_tokens_ += num_tokens;
  ropes_to_sinks_.reset();
  if (policy_.kind != PolicyKind::streaming || num_tokens_ - 1 <= policy_.budget_tokens) return;
  // In the cache a query stands behind the tokens that are kept.
  ropes_to_sinks_ = make_rope_tables(
      positions_T_.clamp_max(policy_.budget_tokens).to(decoder_->device()), decoder_->config());
}

at::Tensor BaselineContext::attend(const LayerAttention&, const at::Tensor&, const at::Tensor&,
                                   const at::Tensor&) {
  LG_FAIL("[baseline] attend() without heads before RoPE. Call prepare_and_attend().");
}

at::Tensor BaselineContext::prepare_and_attend(const LayerAttention& layer,
                                               const at::Tensor& heads_TAD, int64_t num_heads,
                                               const HeadPreparation& preparation) {
  const at::NoGradGuard no_grad;
  const RotatedHeads heads = prepare_heads(heads_TAD, num_heads, preparation);
  at::Tensor q_to_sinks_THD;
  if (ropes_to_sinks_) {
    HeadPreparation in_cache = preparation;
    in_cache.table = ropes_to_sinks_->of(layer.pattern);
    q_to_sinks_THD = prepare_heads(heads_TAD, num_heads, in_cache).q_THD;
  }
  const double scale =
      layer.scale.value_or(1 / std::sqrt(static_cast<double>(heads.q_THD.size(2))));
  KeptTokens& kept = layers_[static_cast<size_t>(layer.index)];
  kept.append(heads.k_TKD, heads.v_TKD, num_tokens_ - heads.q_THD.size(0));
  const at::Tensor out_THD = attend_rows(kept, heads.q_THD, q_to_sinks_THD, scale);
  if (policy_.kind == PolicyKind::pyramidkv && pass_ != Pass::step) {
    observe(kept, heads.q_THD);
  }
  evict(layer.index, kept, scale);
  return out_THD;
}

/// Attends with all rows of the pass, some at a time, and counts what each token gets (H2O).
at::Tensor BaselineContext::attend_rows(KeptTokens& kept, const at::Tensor& q_THD,
                                        const at::Tensor& q_to_sinks_THD, double scale) const {
  const int64_t num_rows = q_THD.size(0), num_heads = q_THD.size(1);
  const at::Tensor v_KND = kept.v_KND.to(at::kFloat);
  const at::Tensor out_THD = at::empty(q_THD.sizes(), q_THD.options());
  const int64_t block = std::max<int64_t>(1, kMostScores / (num_heads * kept.size()));
  for (int64_t row = 0; row < num_rows; row += block) {
    const int64_t rows = std::min(block, num_rows - row);
    const at::Tensor to_sinks =
        q_to_sinks_THD.defined() ? q_to_sinks_THD.narrow(0, row, rows) : q_to_sinks_THD;
    const at::Tensor weights_KXN =
        weights(kept, q_THD.narrow(0, row, rows), to_sinks, num_tokens_ - num_rows + row, scale);
    out_THD.narrow(0, row, rows)
        .copy_(at::bmm(weights_KXN, v_KND)
                   .unflatten(1, {num_heads / v_KND.size(0), rows})
                   .permute({2, 0, 1, 3})
                   .flatten(1, 2));
    if (policy_.kind == PolicyKind::h2o) kept.scores_KN = kept.scores_KN.add(weights_KXN.sum(1));
  }
  return out_THD;
}

/// Keeps the last queries of the prompt so far.
void BaselineContext::observe(KeptTokens& kept, const at::Tensor& q_THD) {
  const at::Tensor all_THD =
      kept.queries_THD.defined() ? at::cat({kept.queries_THD, q_THD}) : q_THD;
  const int64_t count = std::min(kObservedQueries, all_THD.size(0));
  kept.queries_THD = all_THD.narrow(0, all_THD.size(0) - count, count).clone();
}

/// Returns the attention weights of rows (R, H, D) over what is kept, (K, G * R, N) fp32.
at::Tensor BaselineContext::weights(const KeptTokens& kept, const at::Tensor& q_RHD,
                                    const at::Tensor& q_to_sinks, int64_t first_position,
                                    double scale) const {
  const int64_t num_kv_heads = kept.k_KND.size(0), num_rows = q_RHD.size(0);
  const at::Tensor k_KDN = kept.k_KND.to(at::kFloat).transpose(1, 2);
  const at::Tensor scores_KXN = at::bmm(by_kv_head(q_RHD, num_kv_heads), k_KDN);
  if (q_to_sinks.defined()) {
    const int64_t num_sinks = std::min(kSinkTokens, kept.size());
    scores_KXN.narrow(2, 0, num_sinks)
        .copy_(at::bmm(by_kv_head(q_to_sinks, num_kv_heads), k_KDN.narrow(2, 0, num_sinks)));
  }
  scores_KXN.mul_(scale);
  if (num_rows > 1 || positions_T_.numel() > 1) {
    scores_KXN.unflatten(1, {-1, num_rows})
        .masked_fill_(unseen(kept.positions_KN, first_position, num_rows).unsqueeze(1),
                      -std::numeric_limits<float>::infinity());
  }
  return at::softmax(scores_KXN, -1);
}

/// Returns (K, R, N) bool: which of the kept tokens a row of a pass over several does not see.
at::Tensor BaselineContext::unseen(const at::Tensor& positions_KN, int64_t first_position,
                                   int64_t num_rows) const {
  const at::Tensor rows_R1 =
      at::arange(first_position, first_position + num_rows, positions_KN.options()).unsqueeze(1);
  const at::Tensor distance_KRN = rows_R1.sub(positions_KN.unsqueeze(1));
  const at::Tensor later_KRN = distance_KRN.lt(0);
  if (policy_.kind != PolicyKind::streaming) return later_KRN;
  const at::Tensor left_KRN = distance_KRN.gt(policy_.budget_tokens - kSinkTokens);
  return later_KRN.logical_or(left_KRN.logical_and(positions_KN.unsqueeze(1).ge(kSinkTokens)));
}

/// Takes out of the layer what the policy does not keep after this pass.
void BaselineContext::evict(int64_t layer, KeptTokens& kept, double scale) const {
  const int64_t budget = policy_.budget_tokens;
  if (policy_.kind == PolicyKind::streaming) {
    kept.keep_ends(kSinkTokens, budget - kSinkTokens);
  } else if (policy_.kind == PolicyKind::h2o && pass_ != Pass::prompt && kept.size() > budget) {
    const int64_t num_heavy = budget / 2;
    const int64_t num_others = kept.size() - (budget - num_heavy);
    kept.keep_best(kept.scores_KN.narrow(1, 0, num_others), num_heavy);
  } else if (policy_.kind == PolicyKind::pyramidkv && pass_ == Pass::end_of_prompt) {
    const int64_t wanted =
        pyramid_tokens(budget, layer, static_cast<int64_t>(layers_.size()), kept.size());
    if (wanted < kept.size()) {
      const int64_t num_others = kept.size() - kObservedQueries;
      const at::Tensor seen_KN =
          weights(kept, kept.queries_THD, {}, num_others, scale).sum(1).narrow(1, 0, num_others);
      kept.keep_best(at::max_pool1d(seen_KN, kPooledTokens, 1, kPooledTokens / 2),
                     wanted - kObservedQueries);
    }
    kept.queries_THD = at::Tensor();
  }
}

}  // namespace longgen
