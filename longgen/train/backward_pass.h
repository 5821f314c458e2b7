// train/backward_pass.h: loss and gradients of one micro-batch, layer by layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "longgen/model/decoder.h"
#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/plan/activations.h"
#include "longgen/train/layer_offload.h"
#include "longgen/train/micro_batch.h"
#include "longgen/train/objective/objective.h"

namespace longgen {

struct BackwardOptions {
  Objective objective = {};
  Recomputation recompute = Recomputation::layers;
  int64_t loss_chunk_rows = kChunkRowsOfDevice;
  /// The gradients are those of loss_scale * (sum of the weighted losses of all targets).
  double loss_scale = 1;
  /// Whether nothing was added to the gradients yet. The embedding's are summed in place then;
  /// otherwise the batch's are a complete sum before they are added, as all others always are: the
  /// sum over batches does not depend on who computed which.
  bool gradients_are_zero = false;
  /// The inputs of all layers but the last wait here. Null keeps them on the decoder's device. It
  /// is for GPUs only, and not for Recomputation::none.
  LayerOffload* offload = nullptr;
  /// Called after each layer, forward and backward, with the share of the pass that is done, 0 to
  /// 1. On a GPU a layer is done when its work is queued.
  std::function<void(double share)> on_progress = {};
};

/// Adds the gradients of every parameter to `gradients` (fp32, or bf16 with every sum rounded to
/// it; shaped as the decoder's weights, which must require gradients) and returns the sums of the
/// losses. Memory grows with T by one (T, E) tensor a layer (kLayers), with no graph of more than
/// one layer at a time. The three ways of recomputing give the same bits, and so does offloading.
LossSums backward_pass(const Decoder& decoder, const MicroBatch& batch,
                       const BackwardOptions& options, ModelWeights& gradients);

/// The cross-entropy and the weights alone.
LossSums loss_of(const Decoder& decoder, const MicroBatch& batch, int64_t loss_chunk_rows);

/// Marks every tensor as one that gradients are wanted of.
void require_gradients(const ModelWeights& weights);

}  // namespace longgen
