#include "longgen/kv_cache/page_scalar.h"

#include "longgen/base/check.h"

namespace longgen {

PageType page_type(at::ScalarType dtype) {
  if (dtype == at::kBFloat16) return PageType::kBfloat16;
  LG_CHECK(dtype == at::kFloat, "[kv cache] pages hold float32 or bfloat16, found ", dtype, ".");
  return PageType::kFloat32;
}

at::ScalarType scalar_type(PageType type) {
  return type == PageType::kBfloat16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace longgen
