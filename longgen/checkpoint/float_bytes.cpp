#include "longgen/checkpoint/float_bytes.h"

#include <algorithm>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/checkpoint/half.h"

namespace longgen {
namespace {

/// Counts the elements whose exponent has all bits set. T is an unsigned integer of their size.
template <typename T>
int64_t count_special(std::string_view bytes, T exponent) {
  int64_t count = 0;
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T bits;
    std::memcpy(&bits, bytes.data() + at, sizeof(T));
    count += static_cast<T>(bits & exponent) == exponent ? 1 : 0;
  }
  return count;
}

}  // namespace

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

std::string_view float_type_name(DType dtype) {
  LG_DCHECK(is_float(dtype));
  return dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
}

std::vector<float> to_floats(std::string_view bytes, DType dtype) {
  LG_DCHECK(is_float(dtype));
  std::vector<float> values(bytes.size() / dtype_bytes(dtype));
  if (dtype == DType::f32) {
    std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(values.data()));
    return values;
  }
  std::vector<uint16_t> halves(values.size());
  std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<char*>(halves.data()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = dtype == DType::f16 ? f16_to_f32(halves[i]) : bf16_to_f32(halves[i]);
  }
  return values;
}

std::string to_bytes(const std::vector<float>& values, DType dtype) {
  LG_DCHECK(is_float(dtype));
  if (dtype == DType::f32) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  }
  std::string bytes(values.size() * sizeof(uint16_t), '\0');
  auto* out = reinterpret_cast<uint16_t*>(bytes.data());
  for (size_t i = 0; i < values.size(); ++i) {
    out[i] = dtype == DType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
  }
  return bytes;
}

int64_t count_not_finite(std::string_view bytes, DType dtype) {
  LG_DCHECK(is_float(dtype));
  if (dtype == DType::f32) return count_special<uint32_t>(bytes, 0x7f800000U);
  return count_special<uint16_t>(bytes, dtype == DType::f16 ? 0x7c00U : 0x7f80U);
}

}  // namespace longgen
