#include "longgen/checkpoint/ggml_type.h"

#include <array>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr std::array kTypes = {
    GgmlTypeInfo{GgmlType::f32, "F32", 1, 4},
    GgmlTypeInfo{GgmlType::f16, "F16", 1, 2},
    GgmlTypeInfo{GgmlType::q4_0, "Q4_0", 32, 18},
    GgmlTypeInfo{GgmlType::q4_1, "Q4_1", 32, 20},
    GgmlTypeInfo{GgmlType::q5_0, "Q5_0", 32, 22},
    GgmlTypeInfo{GgmlType::q5_1, "Q5_1", 32, 24},
    GgmlTypeInfo{GgmlType::q8_0, "Q8_0", 32, 34},
    GgmlTypeInfo{GgmlType::q8_1, "Q8_1", 32, 40},
    GgmlTypeInfo{GgmlType::q2_k, "Q2_K", 256, 84},
    GgmlTypeInfo{GgmlType::q3_k, "Q3_K", 256, 110},
    GgmlTypeInfo{GgmlType::q4_k, "Q4_K", 256, 144},
    GgmlTypeInfo{GgmlType::q5_k, "Q5_K", 256, 176},
    GgmlTypeInfo{GgmlType::q6_k, "Q6_K", 256, 210},
    GgmlTypeInfo{GgmlType::q8_k, "Q8_K", 256, 292},
    GgmlTypeInfo{GgmlType::iq2_xxs, "IQ2_XXS", 256, 66},
    GgmlTypeInfo{GgmlType::iq2_xs, "IQ2_XS", 256, 74},
    GgmlTypeInfo{GgmlType::iq3_xxs, "IQ3_XXS", 256, 98},
    GgmlTypeInfo{GgmlType::iq1_s, "IQ1_S", 256, 50},
    GgmlTypeInfo{GgmlType::iq4_nl, "IQ4_NL", 32, 18},
    GgmlTypeInfo{GgmlType::iq3_s, "IQ3_S", 256, 110},
    GgmlTypeInfo{GgmlType::iq2_s, "IQ2_S", 256, 82},
    GgmlTypeInfo{GgmlType::iq4_xs, "IQ4_XS", 256, 136},
    GgmlTypeInfo{GgmlType::i8, "I8", 1, 1},
    GgmlTypeInfo{GgmlType::i16, "I16", 1, 2},
    GgmlTypeInfo{GgmlType::i32, "I32", 1, 4},
    GgmlTypeInfo{GgmlType::i64, "I64", 1, 8},
    GgmlTypeInfo{GgmlType::f64, "F64", 1, 8},
    GgmlTypeInfo{GgmlType::iq1_m, "IQ1_M", 256, 56},
    GgmlTypeInfo{GgmlType::bf16, "BF16", 1, 2},
    GgmlTypeInfo{GgmlType::tq1_0, "TQ1_0", 256, 54},
    GgmlTypeInfo{GgmlType::tq2_0, "TQ2_0", 256, 66},
    GgmlTypeInfo{GgmlType::mxfp4, "MXFP4", 32, 17},
    GgmlTypeInfo{GgmlType::nvfp4, "NVFP4", 64, 36},
    GgmlTypeInfo{GgmlType::q1_0, "Q1_0", 128, 18},
};

}  // namespace

const GgmlTypeInfo* find_ggml_type(uint32_t number) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == number) return &info;
  }
  return nullptr;
}

const GgmlTypeInfo& ggml_type_info(GgmlType type) {
  const GgmlTypeInfo* const info = find_ggml_type(static_cast<uint32_t>(type));
  LG_CHECK(info != nullptr, "[ggml_type_info] ", static_cast<uint32_t>(type),
           " is no known tensor type.");
  return *info;
}

std::string_view ggml_type_name(GgmlType type) { return ggml_type_info(type).name; }

}  // namespace longgen
