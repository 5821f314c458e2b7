#include "longgen/api/model_options.h"

#include "longgen/base/check.h"
#include "longgen/base/cpu_features.h"
#include "longgen/base/threads.h"

namespace longgen {

std::string ModelOptions::compute_dtype() const {
  if (dtype != "auto") return dtype;
  return device == "cuda" || bfloat16_is_faster() ? "bfloat16" : "float32";
}

void ModelOptions::check() const {
  LG_CHECK(device == "cpu" || device == "cuda", "device: expected cpu or cuda, found \"", device,
           "\".");
  LG_CHECK(dtype == "auto" || dtype == "float32" || dtype == "bfloat16",
           "dtype: expected auto, float32 or bfloat16, found \"", dtype, "\".");
  LG_CHECK(threads >= 0 && threads <= kMaxThreads, "threads: expected a number from 0 to ",
           kMaxThreads, ", found ", threads, ".");
}

}  // namespace longgen
