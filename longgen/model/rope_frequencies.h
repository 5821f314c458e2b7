// model/rope_frequencies.h: the rotation speeds of a model's RoPE, with the scaling of its family.
#pragma once

#include <vector>

#include "longgen/model/config.h"

namespace longgen {

/// (D / 2) radians per token: base^(-2i/D), changed by linear, llama3 (Llama 3.1) or yarn
/// (arXiv 2309.00071) scaling.
std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t head_size);

/// NTK-aware base for a context of `context` tokens: base * (context / original)^(D / (D - 2)).
/// Best without training.
double ntk_rope_base(double base, int64_t original, int64_t context, int64_t head_size);
/// base * (context / original)^2: what training recovers from fastest, and holds beyond the trained
/// length.
double training_rope_base(double base, int64_t original, int64_t context);

/// yarn's factor of cos and sin where the configuration gives none: 0.1 ln(factor) + 1.
double yarn_attention_factor(double factor);

}  // namespace longgen
