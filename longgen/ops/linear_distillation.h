// ops/linear_distillation.h: output layer, loss and the divergence from a teacher in one, in chunks
// of rows.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {

/// The last hidden state and the output layer of the model that is learnt from. Its width E' is its
/// own.
struct DistillationTeacher {
  at::Tensor hidden_TE;  ///< (T, E')
  at::Tensor weight_VE;  ///< (V, E')
};

struct DistillationLoss {
  at::Tensor loss;  ///< (1 - share) cross_entropy + share divergence; differentiable (once)
  at::Tensor cross_entropy;  ///< what linear_cross_entropy() gives
  at::Tensor divergence;     ///< the sum over rows with a target of weight x KL
};

/// For each row with a target, with softmaxes p of hidden weight^T and q of the teacher's logits:
/// KL = sum of q (log q - log p), in nats.
/// Everything else is as in linear_cross_entropy(), whose logits are shared: chunk_rows rows of
/// them exist at a time, and as many of the teacher's. The gradients are those of hidden and
/// weight; where teacher and student give the same logits and share is 1, they are exactly 0 (fp64:
/// but for rounding). Throws Error as linear_cross_entropy() does, and where the teacher has
/// another T, V, dtype or device, or share is not within 0 to 1.
DistillationLoss linear_distillation(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                     const at::Tensor& targets_T,
                                     const DistillationTeacher& teacher, double share,
                                     int64_t chunk_rows = kChunkRowsOfDevice,
                                     const at::Tensor& row_weights_T = {});

}  // namespace longgen
