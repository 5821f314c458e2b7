// train/micro_batch.h: the part of a step's samples that goes through the model at once.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// Packed sequences: rows of all of them one after the other. On the CPU; moved to the decoder's
/// device once a pass.
struct MicroBatch {
  at::Tensor tokens_T;    ///< int64
  at::Tensor targets_T;   ///< int64, kNoTarget where there is none
  at::Tensor doc_starts;  ///< int64, rows where a sequence or document begins
  /// float32, none negative: how often the loss of a row counts. Undefined: each counts once.
  at::Tensor weights_T = {};
};

}  // namespace longgen
