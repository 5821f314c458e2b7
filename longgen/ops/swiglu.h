// ops/swiglu.h: the gate of the feed-forward network.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// silu(gate) * up, with silu(x) = x / (1 + e^-x). Differentiable (once).
///   gate_up   (T, 2F)  [gate | up], fp32, bf16 or fp64; fastest with a contiguous last axis
///   returns   (T, F)   same dtype, contiguous; computed in fp32, rounded once
/// NaN and infinity as in torch. Throws Error on other shapes and dtypes. fp64 goes
/// through plain torch.
at::Tensor swiglu(const at::Tensor& gate_up_TC);

}  // namespace longgen
