// train/objective/alignment.h: the first stage of a run, in which each sparse layer learns to give
// what the full one gave.
#pragma once

#include <functional>

#include "longgen/model/decoder.h"
#include "longgen/train/micro_batch.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

struct AlignmentOptions {
  /// The model as it began, with every layer full but for windows of the family's own. Its
  /// attention is what is learnt, and its residual stream what all layers read.
  const Decoder& origin;
  double loss_scale = 1;  ///< the gradients are those of loss_scale * loss
  /// Called after each layer with the share of the pass that is done, 0 to 1.
  std::function<void(double share)> on_progress = {};
};

/// Gives the loss of a batch, the mean over the sparse layers of
///   |sparse - full|^2 / |full|^2,
/// where `full` is what the layer's attention gives to the residual stream in the origin, and
/// `sparse` what the student's gives of the same input, both over all rows; and adds the gradients
/// of the student's sparse attention layers, one after the other, to `gradients`. No other weight
/// has any. Memory is that of one layer.
double alignment_pass(const Decoder& student, const MicroBatch& batch,
                      const AlignmentOptions& options, ModelWeights& gradients);

/// Throws Error, naming train.align_steps, where the model has no sparse layer.
void check_alignment(const Recipe& recipe, const ModelConfig& student);

/// Opens the origin: the weights at model.path under the student's config, in its type and on its
/// device.
Decoder open_origin(const Recipe& recipe, const Decoder& student);

}  // namespace longgen
