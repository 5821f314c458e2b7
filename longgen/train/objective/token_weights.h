// train/objective/token_weights.h: how often the loss of each token counts.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/data/dataset_format.h"

namespace longgen {

/// Takes marks (T) int8 or uint8, each a Mark, to weights (T) float32: 0, 1 or answer_weight.
/// Undefined, as where all are ordinary, stays undefined: then each row counts once. Throws Error
/// for a mark that is none of these.
at::Tensor weights_of_marks(const at::Tensor& marks_T, double answer_weight);

/// Adds up how often the rows that have a target count: their number without weights.
double sum_of_weights(const at::Tensor& targets_T, const at::Tensor& weights_T);

}  // namespace longgen
