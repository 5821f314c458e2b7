// train/batches.h: packed samples as the decoder takes them.
#pragma once

#include <span>
#include <vector>

#include "longgen/data/packing.h"
#include "longgen/train/backward_pass.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// The samples one after the other. Each sample is a sequence of its own; with documents and anchor
/// so is each document in it. With none a target across the border of two documents stays left out,
/// as in the samples. Targets that are marked as answers count answer_weight times.
MicroBatch make_batch(std::span<const Sample> samples, DocumentMask mask, double answer_weight = 1);

/// Counts the rows that have a target.
int64_t num_targets(std::span<const Sample> samples);

}  // namespace longgen
