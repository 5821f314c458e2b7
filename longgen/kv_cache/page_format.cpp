#include "longgen/kv_cache/page_format.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr PageFormat kPageFormats[] = {
    {.type = PageType::kFloat32, .value_bytes = 4},
    {.type = PageType::kBfloat16, .value_bytes = 2},
};

}  // namespace

const PageFormat& page_format(PageType type) {
  for (const PageFormat& format : kPageFormats) {
    if (format.type == type) return format;
  }
  LG_FAIL("[kv cache] internal error: page type ", static_cast<int>(type), " has no row.");
}

}  // namespace longgen
