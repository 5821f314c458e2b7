#include "longgen/train/step.h"

#include <cmath>

namespace longgen {

StepResult train_step(TrainableModel& model, const std::vector<MicroBatch>& batches,
                      int64_t num_targets, int64_t step, const StepOptions& options) {
  model.clear_gradients();
  BackwardOptions backward = options.backward;
  backward.loss_scale = 1.0 / static_cast<double>(num_targets);
  StepResult result;
  double done_batches = 0;
  if (options.on_progress) {
    backward.on_progress = [&](double share) {
      options.on_progress((done_batches + share) / static_cast<double>(batches.size()));
    };
  }
  for (const MicroBatch& batch : batches) {
    result.loss += backward_pass(model.decoder(), batch, backward, model.gradients());
    ++done_batches;
  }
  // The gradients are complete from here on: what other processes found would be added now.
  result.loss /= static_cast<double>(num_targets);
  const double norm = result.gradient_norm = gradient_norm(model.gradients());
  const double clip = options.clip_norm;
  const double scale = clip > 0 && norm > clip ? clip / norm : 1.0;
  result.applied = std::isfinite(result.loss) && norm * scale <= kLargestNorm;
  if (result.applied) model.update(scale, step, options.adamw);
  return result;
}

}  // namespace longgen
