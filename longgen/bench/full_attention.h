// bench/full_attention.h: what attention over every key takes: the yardstick of sparse patterns.
#pragma once

#include "longgen/bench/attention_case.h"

namespace longgen {

/// Causal attention over every key by libtorch: cuDNN on a GPU, called as longgen's own full layers
/// call it; ATen's scaled_dot_product_attention on the CPU, where full layers run on longgen's
/// kernels. Grouped queries are repeated for ATen beforehand, which is not timed.
class FullAttention {
 public:
  /// `inputs` must outlive it. Throws Error where the output is wrong (output_error()).
  explicit FullAttention(const AttentionInputs& inputs);
  /// "cuDNN" or "ATen".
  const char* name() const;
  void forward() const;
  /// What forward() takes not counted.
  void backward() const;

 private:
  void make_aten_graph();

  const AttentionInputs& inputs_;
  Attended attended_;                                      // on a GPU
  at::Tensor q_HTD_, k_HTD_, v_HTD_, out_HTD_, grad_HTD_;  // on the CPU: leading axis of 1
};

}  // namespace longgen
