// ops/rope.h: rotary position embedding (RoPE), the half-split form of Hugging Face models.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace longgen {

/// Cosines and sines of the rows of a batch, fp32, made from angles in double. bf16 angles are
/// wrong at long positions (arXiv 2411.13476).
struct RopeTable {
  at::Tensor cos_TD;  ///< (T, D / 2)
  at::Tensor sin_TD;
};

/// positions (T) int64; frequencies (D / 2) in radians per token; factor multiplies cos and sin.
RopeTable make_rope_table(const at::Tensor& positions_T, const std::vector<double>& frequencies,
                          double factor = 1);

/// Rotates x (T, heads, D), any strides with a contiguous last axis: row t by its angles, dimension
/// d with d + D / 2. Computed in fp32, returned contiguous in x's dtype. Differentiable.
at::Tensor rope(const at::Tensor& x_THD, const RopeTable& table);

}  // namespace longgen
