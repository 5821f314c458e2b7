// train/objective/token_weights.h: how often the loss of each token counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace longgen {

/// The marks of a dataset: what a target is to the loss.
enum class Mark : uint8_t {
  none = 0,      ///< not to be learnt: a user's turn
  ordinary = 1,  ///< as every token of a dataset without marks
  answer = 2,    ///< counts train.answer_weight times
};

/// Takes marks (T) int8 or uint8 to weights (T) float32. Undefined, as where all are ordinary,
/// stays undefined: then each row counts once. Throws Error for a mark that is none of these.
at::Tensor weights_of_marks(const at::Tensor& marks_T, double answer_weight);

/// Adds up how often the rows that have a target count: their number without weights.
double sum_of_weights(const at::Tensor& targets_T, const at::Tensor& weights_T);

}  // namespace longgen
