// checkpoint/dequantize.h: GGUF tensor data to fp32.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "longgen/checkpoint/ggml_type.h"

namespace longgen {

/// F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K.
bool can_dequantize(GgmlType type);

/// Expands whole blocks of `type` into out, in order; every product and difference is rounded to
/// fp32 on its own, as in the Python package gguf, so that results are equal to the bit. Rows may
/// be passed in pieces of whole blocks. Throws Error when `type` is not one of those above (naming
/// it and them) or when the sizes of bytes and out do not fit. `bytes` need not be aligned.
void dequantize(GgmlType type, std::string_view bytes, std::span<float> out);

}  // namespace longgen
