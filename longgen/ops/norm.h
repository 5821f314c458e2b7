// ops/norm.h: RMS norm.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// x / sqrt(mean(x^2) + eps) * weight over the last axis; x (..., N) fp32 or bf16, weight (N).
/// Computed in fp32, returned in x's dtype. Differentiable in both.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_N, double eps);

}  // namespace longgen
