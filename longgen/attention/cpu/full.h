// attention/cpu/full.h: full causal attention of whole sequences, by ATen's flash attention.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "longgen/attention/cpu/backward.h"
#include "longgen/attention/cpu/sequences.h"

namespace longgen::cpu {

/// For sequences that start at position 0. Writes out_THD and lse_HT. Grouped heads are given to
/// ATen as a batch of KV heads whose keys are expanded without a copy, because its own
/// grouped-query route on the CPU is the math kernel, which holds T x T scores.
void full_forward(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                  const std::vector<Sequence>& sequences, double scale, const at::Tensor& out_THD,
                  const at::Tensor& lse_HT);

AttentionGradients full_backward(const at::Tensor& grad_THD, const at::Tensor& q_THD,
                                 const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                                 const at::Tensor& out_THD, const at::Tensor& lse_HT,
                                 const std::vector<Sequence>& sequences, double scale);

}  // namespace longgen::cpu
