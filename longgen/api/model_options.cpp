#include "longgen/api/model_options.h"

#include "longgen/base/cpu_features.h"

namespace longgen {

std::string ModelOptions::compute_dtype() const {
  if (dtype != "auto") return dtype;
  return device == "cuda" || bfloat16_is_faster() ? "bfloat16" : "float32";
}

}  // namespace longgen
