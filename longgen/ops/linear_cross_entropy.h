// ops/linear_cross_entropy.h: output layer and loss in one, in chunks of rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace longgen {

/// Rows with this target have no part in the loss.
inline constexpr int64_t kNoTarget = -1;
/// How many rows have their logits at once: 512 on the CPU; 4096 on a GPU, where every chunk reads
/// and writes the fp32 gradient of the weight once.
int64_t default_loss_chunk_rows(at::Device device);
/// Stands for default_loss_chunk_rows() where a number of rows is asked for.
inline constexpr int64_t kChunkRowsOfDevice = 0;

/// The sum over rows of -log softmax(hidden weight^T)[target]; divide by the number of targets for
/// a mean. Differentiable (once) in hidden and weight. With row weights, of which none may be
/// negative, every row counts as often as its weight says.
///   hidden    (T, E)  fp32, bf16 or fp64
///   weight    (V, E)  same dtype and device
///   targets   (T)     int64: 0 to V - 1, or kNoTarget
///   row_weights (T)   fp32; undefined: all are 1
///   returns   a scalar, fp32 (fp64 for fp64)
/// Logits exist for at most chunk_rows rows at a time, never (T, V); the chunks are equally long.
/// kChunkRowsOfDevice: default_loss_chunk_rows().
/// Softmax and loss are fp32; bf16 logits are those of a bf16 product, as in the decoder.
/// Gradients are made in the forward pass where they are asked for, and backward only scales them:
/// until then (T, E) in hidden's dtype and (V, E) in fp32 are kept.
/// Throws Error where shapes, dtypes or targets do not fit; waits for a GPU to know. Results do not
/// depend on the number of threads, as long as ATen's matrix products do not (MKL's do for fewer
/// than 12 rows, and MKL's and oneDNN's on processors with AMX).
at::Tensor linear_cross_entropy(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                const at::Tensor& targets_T,
                                int64_t chunk_rows = kChunkRowsOfDevice,
                                const at::Tensor& row_weights_T = {});

/// Log-probabilities of the targets, (T) fp32 (fp64 for fp64), chunk by chunk; 0 where there is no
/// target. Inputs and errors as above. No gradient.
at::Tensor target_logprobs(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                           const at::Tensor& targets_T, int64_t chunk_rows = kChunkRowsOfDevice);

}  // namespace longgen
