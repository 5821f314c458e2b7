// model/rope_frequencies.h: the rotation speeds of a model's RoPE, with the scaling of its family.
#pragma once

#include <vector>

#include "longgen/model/config.h"

namespace longgen {

/// Gives (D / 2) radians per token: base^(-2i/D), changed by the scaling: linear, llama3 (Llama
/// 3.1) or yarn (arXiv 2309.00071).
std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t head_size);

/// Gives base * (context / original)^(D / (D - 2)), the NTK-aware base for a context of `context`
/// tokens, which is best without training.
double ntk_rope_base(double base, int64_t original, int64_t context, int64_t head_size);
/// Gives base * (context / original)^2, which training recovers from fastest, and which holds
/// beyond the trained length.
double training_rope_base(double base, int64_t original, int64_t context);

/// Gives yarn's factor of cos and sin where the configuration gives none: 0.1 ln(factor) + 1.
double yarn_attention_factor(double factor);

}  // namespace longgen
