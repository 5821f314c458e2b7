// attention/cpu/forward.h: the forward pass of attention over key blocks, dense or paged.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "longgen/attention/cpu/sequences.h"

namespace longgen::cpu {

/// Attends the rows of q_THD (D contiguous; fp32 or bf16), which `sequences` divides, to the blocks
/// of `source`. Writes out_THD (same dtype, contiguous) and, if defined, lse_HT (fp32, contiguous).
/// The result of a sequence depends neither on the number of threads nor on the other sequences.
void attend_forward(const at::Tensor& q_THD, const std::vector<Sequence>& sequences,
                    const Pattern& pattern, int64_t num_kv_heads, double scale,
                    const KeyBlockSource& source, const at::Tensor& out_THD,
                    const at::Tensor& lse_HT);

}  // namespace longgen::cpu
