// ops/glu.h: the gated linear unit of the feed-forward network.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/ops/activation.h"

namespace longgen {

/// activation(gate) * up: SwiGLU, or GeGLU. Differentiable (once).
///   gate_up   (T, 2F)  [gate | up], fp32, bf16 or fp64; fastest with a contiguous last axis
///   returns   (T, F)   same dtype, contiguous; computed in fp32, rounded once
/// NaN and infinity as in torch. Throws Error on other shapes and dtypes. fp64 goes through plain
/// torch. A GPU has SwiGLU alone.
at::Tensor glu(const at::Tensor& gate_up_TC, Activation activation);

}  // namespace longgen
