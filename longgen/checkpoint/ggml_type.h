// checkpoint/ggml_type.h: the tensor types of GGUF files.
#pragma once

#include <cstdint>
#include <string_view>

namespace longgen {

/// Numbers as they stand in files. Every type with a known size is listed, so that a file holding
/// some that longgen cannot dequantize still opens and the error names tensor and type.
enum class GgmlType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
};

/// Elements are stored in blocks: a row is a whole number of them.
struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;  ///< "Q4_K"
  int64_t block_elements;
  int64_t block_bytes;
};

/// Gives nullptr for a number that is no known type.
const GgmlTypeInfo* find_ggml_type(uint32_t number);
/// Throws Error on a value outside the enum.
const GgmlTypeInfo& ggml_type_info(GgmlType type);
std::string_view ggml_type_name(GgmlType type);

}  // namespace longgen
