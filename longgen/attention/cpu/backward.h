// attention/cpu/backward.h: the gradients of attention over dense keys and values.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "longgen/attention/cpu/sequences.h"

namespace longgen::cpu {

struct AttentionGradients {
  at::Tensor q_THD, k_SKD, v_SKD;  // contiguous, dtype of q
};

/// Gradients for grad_THD, the gradient of out. Scores are computed again from q, k and lse_HT,
/// block by block. Sums are kept in fp32 and added in a fixed order. Extra memory: a few times K
/// and V in fp32, never T x S.
AttentionGradients attend_backward(const at::Tensor& grad_THD, const at::Tensor& q_THD,
                                   const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                                   const at::Tensor& out_THD, const at::Tensor& lse_HT,
                                   const std::vector<Sequence>& sequences, const Pattern& pattern,
                                   double scale);

}  // namespace longgen::cpu
