#include "longgen/model/attention_context.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <algorithm>

namespace longgen {

at::Tensor AttentionContext::attend_rotated(int64_t layer, const at::Tensor& heads_THD,
                                            int64_t num_heads, const RopeTable& table,
                                            const Pattern& pattern) {
  const RotatedHeads rotated = split_rotated(heads_THD, num_heads, table);
  return attend(layer, rotated.q_THD, rotated.k_TKD, rotated.v_TKD, pattern);
}

BatchContext::BatchContext(int64_t num_tokens, at::Tensor doc_starts) {
  positions_T_ = at::arange(num_tokens, at::kLong);
  options_.doc_starts = std::move(doc_starts);
  if (!options_.doc_starts.defined()) return;
  auto* positions = positions_T_.data_ptr<int64_t>();
  const auto* starts = options_.doc_starts.data_ptr<int64_t>();
  const int64_t num_documents = options_.doc_starts.numel();
  for (int64_t d = 0; d < num_documents; ++d) {
    const int64_t end = d + 1 < num_documents ? starts[d + 1] : num_tokens;
    for (int64_t row = starts[d]; row < end; ++row) positions[row] = row - starts[d];
  }
}

at::Tensor BatchContext::attend(int64_t, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                                const at::Tensor& v_TKD, const Pattern& pattern) {
  return longgen::attend(q_THD, k_TKD, v_TKD, pattern, options_).out_THD;
}

}  // namespace longgen
