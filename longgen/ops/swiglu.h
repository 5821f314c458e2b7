// ops/swiglu.h: the gate of the feed-forward network.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// silu(gate) * up for gate_up (T, 2F) = [gate | up]; returns (T, F) in the same dtype, computed in
/// fp32. Differentiable.
at::Tensor swiglu(const at::Tensor& gate_up_TF);

}  // namespace longgen
