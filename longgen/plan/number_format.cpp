#include "longgen/plan/number_format.h"

#include "longgen/base/check.h"

namespace longgen {

int64_t bytes_per_number(NumberFormat format) { return format == NumberFormat::float32 ? 4 : 2; }

std::string number_format_name(NumberFormat format) {
  return format == NumberFormat::float32 ? "float32" : "bfloat16";
}

NumberFormat parse_number_format(const std::string& name) {
  if (name == "float32") return NumberFormat::float32;
  if (name == "bfloat16") return NumberFormat::bfloat16;
  LG_FAIL("[plan] dtype: expected float32 or bfloat16, found \"", name, "\".");
}

}  // namespace longgen
