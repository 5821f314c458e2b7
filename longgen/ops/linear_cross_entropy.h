// ops/linear_cross_entropy.h: output layer and loss in one, in chunks of rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace longgen {

/// Rows with this target have no part in the loss.
inline constexpr int64_t kNoTarget = -1;

/// The sum over rows of -log softmax(hidden weight^T)[target]; divide by the number of targets for
/// a mean.
///   hidden  (T, E)  fp32 or bf16     weight  (V, E)  same dtype     targets  (T)  int64
///   returns a scalar, fp32
/// Logits and softmax are fp32, a chunk of rows at a time: never (T, V). Gradients are made in the
/// forward pass where they are asked for, so backward costs one multiplication. Differentiable in
/// hidden and weight.
at::Tensor linear_cross_entropy(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                const at::Tensor& targets_T, int64_t chunk_rows = 512);

/// Log-probabilities of the targets, (T) fp32, chunk by chunk; 0 where there is no target. No
/// gradient.
at::Tensor target_logprobs(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                           const at::Tensor& targets_T, int64_t chunk_rows = 512);

}  // namespace longgen
