// model/attention_context.h: how the decoder attends: within a batch (training, scoring), or to a
// KV cache (kv_cache/cached_context.h). The decoder does not know which one it has.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "longgen/attention/attend.h"
#include "longgen/ops/rope.h"

namespace longgen {

class AttentionContext {
 public:
  virtual ~AttentionContext() = default;
  /// (T) int64 on the CPU: the position of every row in its sequence, for RoPE.
  virtual const at::Tensor& positions_T() const = 0;
  /// q (T, H, D), k and v (T, K, D) of one layer, after RoPE; returns (T, H, D). Called once for
  /// every layer in a forward pass, and once more where a layer is recomputed.
  virtual at::Tensor attend(int64_t layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                            const at::Tensor& v_TKD, const Pattern& pattern) = 0;
  /// attend() of heads (T, H + 2K, D) before RoPE: num_heads of q, then those of k and of v.
  virtual at::Tensor attend_rotated(int64_t layer, const at::Tensor& heads_THD, int64_t num_heads,
                                    const RopeTable& table, const Pattern& pattern);
};

/// Rows attend to each other: one sequence, or several packed one after the other.
class BatchContext : public AttentionContext {
 public:
  /// doc_starts as in AttendOptions; undefined: one sequence of num_tokens.
  explicit BatchContext(int64_t num_tokens, at::Tensor doc_starts = {});
  const at::Tensor& positions_T() const override { return positions_T_; }
  at::Tensor attend(int64_t layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD, const Pattern& pattern) override;

 private:
  at::Tensor positions_T_;
  AttendOptions options_;
};

}  // namespace longgen
