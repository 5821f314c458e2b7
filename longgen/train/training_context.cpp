#include "longgen/train/training_context.h"

#include <ATen/core/grad_mode.h>

namespace longgen {

TrainingContext::TrainingContext(int64_t num_tokens, const at::Tensor& doc_starts,
                                 int64_t num_layers, bool keep_results)
    : batch_(num_tokens, doc_starts),
      doc_starts_(doc_starts),
      keep_results_(keep_results),
      kept_(num_layers) {}

at::Tensor TrainingContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                                   const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  const AttendOptions options = {doc_starts_, layer.scale};
  Attended& kept = kept_[layer.index];
  const bool recomputes = at::GradMode::is_enabled();
  if (recomputes && kept.out_THD.defined()) {
    return attend_again(q_THD, k_TKD, v_TKD, layer.pattern, options, kept).out_THD;
  }
  const Attended result = longgen::attend(q_THD, k_TKD, v_TKD, layer.pattern, options);
  if (keep_results_ && !recomputes) kept = result;
  return result.out_THD;
}

}  // namespace longgen
