// train/optimizer.h: AdamW with gradient clipping, on fp32 master weights or on bf16 ones.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/model/config.h"
#include "longgen/model/weights.h"

namespace longgen {

struct AdamWOptions {
  double learning_rate = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  /// The decay is decoupled (Loshchilov and Hutter, arXiv 1711.05101): weights lose
  /// learning_rate * weight_decay of themselves. Only matrices decay, norms and biases do not.
  double weight_decay = 0;
  uint64_t seed = 0;  ///< of the rounding of bf16 states
};

/// The moments of all parameters, shaped as the weights and in their dtype.
struct AdamWState {
  ModelWeights m, v;
};
AdamWState make_adamw_state(const ModelWeights& masters);

/// The Euclidean norm of all gradients together; summed in double in a fixed order. NaN or infinite
/// if one of them is. Waits for a GPU.
double gradient_norm(const ModelWeights& gradients);

/// Throws Error naming the first tensor that holds NaN or infinity, as "WHERE: tensor NAME ...",
/// with `advice` at its end.
void expect_finite(const ModelConfig& config, const ModelWeights& weights, const std::string& where,
                   const std::string& advice);

/// Takes one step; `step` counts from 1 (for the bias correction). Gradients are multiplied by
/// grad_scale first. masters, gradients, m and v are all fp32 or all bf16, all on the CPU or all on
/// a GPU. With bf16 the arithmetic is fp32, and weight, m and v are rounded stochastically, by
/// random numbers that are a function of (seed, step, parameter, element): rounded to the nearest,
/// most steps would change nothing. The result does not depend on the number of threads.
void adamw_step(const ModelWeights& gradients, double grad_scale, int64_t step,
                const AdamWOptions& options, ModelWeights& masters, AdamWState& state);

}  // namespace longgen
