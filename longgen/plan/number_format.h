// plan/number_format.h: the types in which a model is computed and kept.
#pragma once

#include <cstdint>

#include "longgen/base/choice.h"
#include "longgen/kv_cache/page_format.h"

namespace longgen {

/// The type of weights, activations, the KV cache, or of what an optimizer keeps.
enum class NumberFormat { float32, bfloat16 };

/// Names as --dtype and a recipe's train.precision take them.
inline constexpr Choice<NumberFormat, 2> kNumberFormats{
    {{{"float32", NumberFormat::float32}, {"bfloat16", NumberFormat::bfloat16}}}};

/// Returns the bytes of one number.
inline int64_t bytes_per_number(NumberFormat format) {
  return format == NumberFormat::float32 ? 4 : 2;
}
/// Returns the type of pages that hold such numbers.
inline PageType page_type(NumberFormat format) {
  return format == NumberFormat::float32 ? PageType::kFloat32 : PageType::kBfloat16;
}
/// Gives "float32" or "bfloat16", as --dtype takes it.
inline std::string number_format_name(NumberFormat format) { return kNumberFormats.name(format); }
/// Reads number_format_name() back. Throws Error listing both names.
inline NumberFormat parse_number_format(const std::string& name) {
  return kNumberFormats.parse(name, "[plan] dtype");
}

}  // namespace longgen
