// checkpoint/float_bytes.h: tensor bytes of F32, F16 and BF16 as fp32 and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {

/// F32, F16 or BF16: the types of model weights.
bool is_float(DType dtype);

/// "float32", "float16" or "bfloat16".
std::string_view float_type_name(DType dtype);

/// Elements of a float type as fp32, exactly. The bytes may be unaligned.
std::vector<float> to_floats(std::string_view bytes, DType dtype);

/// fp32 as the bytes of a float type, rounded to nearest even. A value beyond its range becomes
/// infinite.
std::string to_bytes(const std::vector<float>& values, DType dtype);

/// How many elements of a float type are NaN or infinite. The bytes may be unaligned.
int64_t count_not_finite(std::string_view bytes, DType dtype);

}  // namespace longgen
