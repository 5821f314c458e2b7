// plan/number_format.h: the number formats that the planner counts with.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

/// The type in which weights, activations and the KV cache are kept.
enum class NumberFormat { float32, bfloat16 };

/// Returns the bytes of one number.
int64_t bytes_per_number(NumberFormat format);
/// Gives "float32" or "bfloat16", as --dtype takes it.
std::string number_format_name(NumberFormat format);
/// Reads number_format_name() back. Throws Error listing both names.
NumberFormat parse_number_format(const std::string& name);

}  // namespace longgen
