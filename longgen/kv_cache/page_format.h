// kv_cache/page_format.h: the types of pages, one row each. Without torch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "longgen/attention/pattern.h"

namespace longgen {

/// The numbers that a page's keys and values are. Each type has a row in kPageFormats.
enum class PageType { kFloat32, kBfloat16 };

/// What memory a page of a type takes. How its bytes are arranged is the business of the kernels
/// that read it: PageBlock (page_writer.h) on the CPU, cuda/page_format.h on a GPU.
struct PageFormat {
  PageType type;
  int64_t value_bytes;

  /// Returns the size in bytes of K and V of one block (Pattern::kBlock tokens) of one KV head of
  /// one layer. Nothing is padded.
  constexpr int64_t block_bytes(int64_t head_size) const {
    return 2 * Pattern::kBlock * head_size * value_bytes;
  }
};

/// In the order of the types, so that a type is the place of its row.
inline constexpr std::array kPageFormats = {
    PageFormat{.type = PageType::kFloat32, .value_bytes = 4},
    PageFormat{.type = PageType::kBfloat16, .value_bytes = 2},
};
static_assert([] {
  for (size_t i = 0; i < kPageFormats.size(); ++i) {
    if (kPageFormats[i].type != static_cast<PageType>(i)) return false;
  }
  return true;
}());

constexpr const PageFormat& page_format(PageType type) {
  return kPageFormats.at(static_cast<size_t>(type));
}

}  // namespace longgen
