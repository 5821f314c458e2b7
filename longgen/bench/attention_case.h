// bench/attention_case.h: one call of the attend op and of its gradient, to be timed and checked.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "longgen/attention/attend.h"
#include "longgen/attention/pattern.h"

namespace longgen {

struct AttentionShape {
  int64_t num_tokens = 0, num_heads = 0, num_kv_heads = 0, head_size = 0;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

/// q, k, v and the gradient of the output: normal random numbers, the same in every run
/// on a device.
struct AttentionInputs {
  explicit AttentionInputs(const AttentionShape& shape);
  AttentionShape shape;
  at::Tensor q_THD, k_TKD, v_TKD, grad_THD;
};

struct AttentionGradients {
  at::Tensor q_THD, k_TKD, v_TKD;
};

/// The op as the decoder calls it. No graph is made.
Attended attend_forward(const AttentionInputs& inputs, const Pattern& pattern);
/// The gradient as autograd calls it, from what the op gave.
AttentionGradients attend_backward(const AttentionInputs& inputs, const Pattern& pattern,
                                   const Attended& attended);

/// Useful floating-point operations of the forward pass: 4 D for each token pair that a head sees.
/// The backward pass counts kBackwardFlops times as much, because it makes the scores again: five
/// products instead of two.
double attention_flops(const AttentionShape& shape, const Pattern& pattern);
inline constexpr double kBackwardFlops = 2.5;

}  // namespace longgen
