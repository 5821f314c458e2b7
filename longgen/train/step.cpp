#include "longgen/train/step.h"

#include <cmath>

#include "longgen/train/objective/alignment.h"

namespace longgen {
namespace {

using Progress = std::function<void(double share)>;

/// Adds the gradients of one micro-batch times loss_scale.
LossSums add_gradients(TrainableModel& model, const MicroBatch& batch, const StepOptions& options,
                       double loss_scale, const Progress& on_progress) {
  if (options.align_to != nullptr) {
    const AlignmentOptions align = {*options.align_to, loss_scale, on_progress};
    const double loss = alignment_pass(model.decoder(), batch, align, model.gradients());
    return {.cross_entropy = loss, .weights = 1};
  }
  BackwardOptions backward = options.backward;
  backward.loss_scale = loss_scale;
  backward.on_progress = on_progress;
  return backward_pass(model.decoder(), batch, backward, model.gradients());
}

/// Adds the gradients of a loss that is a mean of `count`.
LossSums add_gradients(TrainableModel& model, const std::vector<MicroBatch>& batches, double count,
                       const StepOptions& options) {
  LossSums sums;
  double done_batches = 0;
  Progress on_progress;
  if (options.on_progress) {
    on_progress = [&](double share) {
      options.on_progress((done_batches + share) / static_cast<double>(batches.size()));
    };
  }
  for (const MicroBatch& batch : batches) {
    sums.add(add_gradients(model, batch, options, 1.0 / count, on_progress));
    ++done_batches;
  }
  return sums;
}

}  // namespace

StepResult train_step(TrainableModel& model, const std::vector<MicroBatch>& batches,
                      int64_t num_targets, int64_t step, const StepOptions& options) {
  model.clear_gradients();
  const auto count = static_cast<double>(
      options.align_to != nullptr ? static_cast<int64_t>(batches.size()) : num_targets);
  const LossSums sums = add_gradients(model, batches, count, options);
  // The gradients are complete from here on: what other processes found would be added now.
  StepResult result = {.loss = sums.cross_entropy / sums.weights,
                       .distill_loss = sums.divergence / sums.weights,
                       .weights = sums.weights};
  // What weights add up to is known now; without any it is the count.
  const double mean = count / sums.weights;
  const double norm = result.gradient_norm = gradient_norm(model.gradients()) * mean;
  const double clip = options.clip_norm;
  const double scale = clip > 0 && norm > clip ? clip / norm : 1.0;
  result.applied = std::isfinite(result.loss) && std::isfinite(result.distill_loss) &&
                   norm * scale <= kLargestNorm;
  if (result.applied) model.update(scale * mean, step, options.adamw);
  return result;
}

}  // namespace longgen
