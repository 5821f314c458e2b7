// model/attention_context.h: how the decoder attends: within a batch (training, scoring), or to a
// KV cache (kv_cache/cached_context.h). The decoder does not know which one it has.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "longgen/attention/attend.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/rope.h"

namespace longgen {

/// What is done to the heads of q and k of a layer before attention.
struct HeadPreparation {
  RopeTable table;
  at::Tensor q_norm_D, k_norm_D;  ///< RMS norm of every head, before RoPE; undefined: none
  double norm_eps = 0;
  bool norms_add_one = false;  ///< as NormWeight::adds_one
};
/// Gives q, k and v, ready to attend, of heads (T, H + 2K, D).
RotatedHeads prepare_heads(const at::Tensor& heads_TAD, int64_t num_heads,
                           const HeadPreparation& preparation);

/// A layer's number, what its queries see, and the factor of their scores as in AttendOptions.
struct LayerAttention {
  int64_t index;
  Pattern pattern;
  std::optional<double> scale = {};
};

class AttentionContext {
 public:
  virtual ~AttentionContext() = default;
  /// Returns (T) int64 on the CPU: the position of every row in its sequence, for RoPE.
  virtual const at::Tensor& positions_T() const = 0;
  /// Attends with q (T, H, D), k and v (T, K, D) of one layer, after RoPE; returns (T, H, D).
  /// Called once for every layer in a forward pass, and once more where a layer is recomputed.
  virtual at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD,
                            const at::Tensor& k_TKD, const at::Tensor& v_TKD) = 0;
  /// Does prepare_heads(), then attend().
  virtual at::Tensor prepare_and_attend(const LayerAttention& layer, const at::Tensor& heads_TAD,
                                        int64_t num_heads, const HeadPreparation& preparation);
};

/// A context whose rows attend to each other: one sequence, or several packed one after the other.
class BatchContext : public AttentionContext {
 public:
  /// Takes doc_starts as in AttendOptions; where undefined, there is one sequence of num_tokens.
  explicit BatchContext(int64_t num_tokens, at::Tensor doc_starts = {});
  const at::Tensor& positions_T() const override { return positions_T_; }
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;

 private:
  at::Tensor positions_T_, doc_starts_;
};

}  // namespace longgen
