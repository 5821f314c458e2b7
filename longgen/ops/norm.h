// ops/norm.h: RMS norm.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// What a norm multiplies by, and the number that keeps it from dividing by zero.
struct NormWeight {
  at::Tensor weight_I;
  double eps;
  bool adds_one = false;  ///< the factor is 1 + weight, added in fp32
};

/// x / sqrt(mean(x^2) + eps) * weight over the last axis. Differentiable (once) in both.
///   x         (..., I)  fp32, bf16 or fp64; any strides; fastest with a contiguous last axis, as
///             in a slice of heads of (T, heads, D)
///   weight    (I)       same dtype and device
///   returns   x's shape and dtype, contiguous; computed in fp32, rounded once
/// Results and gradients are the same in every run, and do not depend on the number of threads.
/// Throws Error where shapes or dtypes do not fit. fp64 goes through plain torch. A GPU does not
/// take adds_one.
at::Tensor rms_norm(const at::Tensor& x, const NormWeight& norm);

struct AddedNorm {
  at::Tensor sum;     ///< x + delta
  at::Tensor normed;  ///< rms_norm(sum)
};
/// The residual connection and the norm after it; on a GPU in one pass over memory. delta is like
/// x. Differentiable (once).
AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const NormWeight& norm);

}  // namespace longgen
