// train/step.h: one optimizer step.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/train/backward_pass.h"
#include "longgen/train/optimizer.h"

namespace longgen {

struct StepOptions {
  BackwardOptions backward;  ///< its loss_scale and on_progress are not read
  AdamWOptions adamw;
  double clip_norm = 1;  ///< 0: gradients are not clipped
  /// Called as backward.on_progress, with the share of the whole step's micro-batches.
  std::function<void(double share)> on_progress = {};
};

/// What a step reads and changes. The decoder computes on the masters themselves, or on a copy in
/// bf16, which follows them.
struct TrainedModel {
  const Decoder& decoder;
  ModelWeights& masters;
  AdamWState& moments;
  ModelWeights& gradients;  ///< in the masters' dtype; what they hold before is forgotten
};

struct StepResult {
  double loss = 0;  ///< mean over the targets
  double gradient_norm = 0;
  bool is_finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }
};

/// Gradients of the mean loss over all targets of the micro-batches, one after the other, then the
/// update; `step` counts from 1. Changes no weight where the result is not finite. num_targets must
/// be positive. On a GPU the update may still be under way when it returns.
StepResult train_step(const TrainedModel& model, const std::vector<MicroBatch>& batches,
                      int64_t num_targets, int64_t step, const StepOptions& options);

}  // namespace longgen
