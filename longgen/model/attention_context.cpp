#include "longgen/model/attention_context.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <algorithm>

namespace longgen {

RotatedHeads prepare_heads(const at::Tensor& heads_TAD, int64_t num_heads,
                           const HeadPreparation& preparation) {
  if (!preparation.q_norm_D.defined()) {
    return split_rotated(heads_TAD, num_heads, preparation.table);
  }
  const int64_t num_kv_heads = (heads_TAD.size(1) - num_heads) / 2;
  const auto parts = heads_TAD.split_with_sizes({num_heads, num_kv_heads, num_kv_heads}, 1);
  const auto normed = [&](const at::Tensor& x, const at::Tensor& weight) {
    return rope(rms_norm(x, {weight, preparation.norm_eps, preparation.norms_add_one}),
                preparation.table);
  };
  return {normed(parts[0], preparation.q_norm_D), normed(parts[1], preparation.k_norm_D), parts[2]};
}

at::Tensor AttentionContext::prepare_and_attend(const LayerAttention& layer,
                                                const at::Tensor& heads_TAD, int64_t num_heads,
                                                const HeadPreparation& preparation) {
  const RotatedHeads ready = prepare_heads(heads_TAD, num_heads, preparation);
  return attend(layer, ready.q_THD, ready.k_TKD, ready.v_TKD);
}

BatchContext::BatchContext(int64_t num_tokens, at::Tensor doc_starts)
    : positions_T_(at::arange(num_tokens, at::kLong)), doc_starts_(std::move(doc_starts)) {
  if (!doc_starts_.defined()) return;
  auto* positions = positions_T_.data_ptr<int64_t>();
  const auto* starts = doc_starts_.data_ptr<int64_t>();
  const int64_t num_documents = doc_starts_.numel();
  for (int64_t d = 0; d < num_documents; ++d) {
    const int64_t end = d + 1 < num_documents ? starts[d + 1] : num_tokens;
    for (int64_t row = starts[d]; row < end; ++row) positions[row] = row - starts[d];
  }
}

at::Tensor BatchContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                                const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  return longgen::attend(q_THD, k_TKD, v_TKD, layer.pattern, {doc_starts_, layer.scale}).out_THD;
}

}  // namespace longgen
