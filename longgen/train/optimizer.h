// train/optimizer.h: AdamW with gradient clipping, on fp32 master weights.
#pragma once

#include <cstdint>

#include "longgen/model/weights.h"

namespace longgen {

struct AdamWOptions {
  double learning_rate = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  /// Decoupled (Loshchilov and Hutter, arXiv 1711.05101): weights lose learning_rate * weight_decay
  /// of themselves. Matrices only: norms and biases do not decay.
  double weight_decay = 0;
};

/// Moments of all parameters, shaped as the weights.
struct AdamWState {
  ModelWeights m, v;
};
AdamWState make_adamw_state(const ModelWeights& masters);

/// The Euclidean norm of all gradients together; summed in double in a fixed order. NaN or infinite
/// if one of them is. Waits for a GPU.
double gradient_norm(const ModelWeights& gradients);

/// One step; `step` counts from 1 (for the bias correction). Gradients are multiplied by grad_scale
/// first. masters, gradients, m and v are fp32, all on the CPU or all on a GPU. The result does not
/// depend on the number of threads.
void adamw_step(const ModelWeights& gradients, double grad_scale, int64_t step,
                const AdamWOptions& options, ModelWeights& masters, AdamWState& state);

}  // namespace longgen
