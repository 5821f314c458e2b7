// train/objective/far_weights.h: tokens that far context helps to predict count more.
#pragma once

#include "longgen/model/decoder.h"
#include "longgen/train/micro_batch.h"

namespace longgen {

/// Gives weights (T) float32 of a batch's rows: e^(short loss - loss), within 1 to largest (after
/// LongCE, arXiv 2410.23771, whose weights may be less than 1: tokens that a model finds hard then
/// count less, and become harder; a run of the study diverged by it). `hidden` is the last hidden
/// state (T, E) of the batch, and the short loss that of the same weights in a forward pass in
/// which no layer sees more than the first blocks and the last ones: the sparse pattern's sink and
/// window, without its stride. What many layers carry on from window to window counts as near. Rows
/// without a target have weight 1. No gradient.
at::Tensor far_weights(const Decoder& decoder, const MicroBatch& batch, const at::Tensor& hidden_TE,
                       double largest, int64_t chunk_rows, const OnLayer& on_layer = {});

}  // namespace longgen
