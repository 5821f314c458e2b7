#include "longgen/train/objective/objective.h"

#include "longgen/train/objective/far_weights.h"
#include "longgen/train/objective/token_weights.h"

namespace longgen {
namespace {

/// Gives the weights of a batch's rows, undefined where each counts once.
at::Tensor row_weights(const Objective& objective, const Decoder& student, const MicroBatch& batch,
                       const at::Tensor& hidden_TE, int64_t chunk_rows, const OnLayer& on_layer) {
  if (objective.far_weight == 0) return batch.weights_T;
  const at::Tensor far_T =
      far_weights(student, batch, hidden_TE, objective.far_weight, chunk_rows, on_layer);
  return batch.weights_T.defined() ? far_T.mul(batch.weights_T) : far_T;
}

}  // namespace

int64_t Objective::num_extra_layers(const ModelConfig& student) const {
  return (teacher != nullptr ? teacher->config().num_layers : 0) +
         (far_weight > 0 ? student.num_layers : 0);
}

LossSums TokenLoss::sums() const {
  return {cross_entropy.item<double>(), divergence.defined() ? divergence.item<double>() : 0,
          weights};
}

TokenLoss token_loss(const Objective& objective, const Decoder& student, const MicroBatch& batch,
                     const at::Tensor& hidden_TE, int64_t chunk_rows, const OnLayer& on_layer) {
  const at::Tensor& head_VE = student.weights().head_VE;
  const at::Tensor weights_T =
      row_weights(objective, student, batch, hidden_TE, chunk_rows, on_layer);
  TokenLoss result;
  if (objective.teacher == nullptr) {
    result.loss = linear_cross_entropy(hidden_TE, head_VE, batch.targets_T, chunk_rows, weights_T);
    result.cross_entropy = result.loss.detach();
  } else {
    const DistillationLoss found = linear_distillation(
        hidden_TE, head_VE, batch.targets_T, objective.teacher->look_at(batch, on_layer),
        objective.distill_share, chunk_rows, weights_T);
    result = {found.loss, found.cross_entropy, found.divergence};
  }
  result.weights = sum_of_weights(batch.targets_T, weights_T);
  return result;
}

}  // namespace longgen
