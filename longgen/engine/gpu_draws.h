// engine/gpu_draws.h: drawing tokens from logits, as the GPU plug-in does it (engine/cuda/). Its
// callers see to shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/device/gpu_backend.h"

namespace longgen::gpu {

/// Where the rows and the results of a draw stand: bytes on the GPU.
struct DrawBuffers {
  at::Tensor rows;      ///< (N) DrawRow
  at::Tensor tokens;    ///< (N) DrawnToken
  at::Tensor logprobs;  ///< (L) DrawnLogprobs, for the rows that ask
  at::Tensor drawn_S;   ///< int64, as DrawJob
};

/// Runs on the current stream of the tensors' device, and waits for nothing.
struct Draws {
  /// Draws a token below num_classes for each row of logits (N, V) fp32, contiguous; of the rows
  /// num_changed change their logits.
  void (&draw)(const at::Tensor& logits_NV, int64_t num_classes, int64_t num_changed,
               const DrawBuffers& buffers);
  /// Of tokens (T) int64, contiguous, those below 0 become the one in drawn_S[-1 - token].
  void (&put_drawn)(const at::Tensor& tokens_T, const at::Tensor& drawn_S);
};

/// Throws Error where the plug-in is not loaded.
inline const Draws& draws() { return gpu_backend().draws; }

}  // namespace longgen::gpu
