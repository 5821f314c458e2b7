// train/step.h: one optimizer step.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/train/backward_pass.h"
#include "longgen/train/gradient_exchange.h"
#include "longgen/train/trainable_model.h"

namespace longgen {

struct StepOptions {
  BackwardOptions backward = {};  ///< its loss_scale, gradients_are_zero, on_progress are not read
  AdamWOptions adamw = {};
  double clip_norm = 1;  ///< 0: gradients are not clipped
  /// Where it is not null, the step is one of alignment with this origin
  /// (objective/alignment.h): of `backward` nothing is read.
  const Decoder* align_to = nullptr;
  /// Ranks that divide the step's micro-batches among them, each with a model of the same weights.
  /// Null: this process computes all.
  GradientExchange* exchange = nullptr;
  /// Called as backward.on_progress, with the share of this rank's micro-batches.
  std::function<void(double share)> on_progress = {};
};

struct StepResult {
  double loss = 0;          ///< weighted mean of the cross-entropy over the targets, or alignment's
  double distill_loss = 0;  ///< the same of KL(teacher, student); 0 without a teacher
  double weights = 0;       ///< of all targets together; where it is 0, nothing is applied
  double gradient_norm = 0;  ///< before clipping
  bool applied = false;      ///< false: no weight and no moment has changed
};

/// Where gradients are not clipped: the second moment, a float32, holds squares of up to 3.4e38. An
/// infinite one would never change again, and neither would its weight.
inline constexpr double kLargestNorm = 1e18;

/// Adds up the gradients of the mean loss over all targets, one micro-batch after the other (what
/// the loss is, backward_pass() alone knows), and then updates the model; `step` counts from 1.
/// Where the targets have weights, their sum divides in place of their number. Changes no weight
/// and no moment where the loss or the gradient's norm is not finite, or the
/// norm, once clipped, above kLargestNorm. num_targets must be positive. On a GPU the update may
/// still be under way when it returns. The result has the same bits for any number of ranks, each
/// of which gets it whole.
StepResult train_step(TrainableModel& model, const std::vector<MicroBatch>& batches,
                      int64_t num_targets, int64_t step, const StepOptions& options);

}  // namespace longgen
