// ops/rope.h: rotary position embedding (RoPE), the half-split form of Hugging Face models.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace longgen {

/// Cosines and sines of the rows of a batch, fp32, made from angles in double. bf16 angles are
/// wrong at long positions (arXiv 2411.13476).
struct RopeTable {
  at::Tensor cos_TR;  ///< (T, D / 2)
  at::Tensor sin_TR;
};

/// positions (T) int64; frequencies (D / 2) in radians per token; factor multiplies cos and sin.
/// The table is made where the positions are: on the CPU, or on a GPU with the plug-in (D up to
/// 256). Throws Error on other positions.
RopeTable make_rope_table(const at::Tensor& positions_T, const std::vector<double>& frequencies,
                          double factor = 1);

/// Rotates row t of x by the angles of row t of the table, dimension d with d + D / 2.
/// Differentiable (once) in x.
///   x         (T, heads, D)  fp32, bf16 or fp64; fastest with a contiguous last axis, as in a
///             slice of heads of a larger tensor
///   returns   same shape and dtype, contiguous; computed in fp32, rounded once
/// Throws Error where shapes or dtypes do not fit. fp64 goes through plain torch.
at::Tensor rope(const at::Tensor& x_THD, const RopeTable& table);

struct RotatedHeads {
  at::Tensor q_THD, k_TKD, v_TKD;
};
/// Splits heads (T, H + 2K, D) into q, k and v, and rotates q and k; on a GPU in one pass over
/// memory. v is a view. Differentiable (once).
RotatedHeads split_rotated(const at::Tensor& heads_TAD, int64_t num_heads, const RopeTable& table);

}  // namespace longgen
