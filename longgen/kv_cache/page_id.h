// kv_cache/page_id.h: names of pages, and which block of which table each one holds.
#pragma once

#include <cstdint>

namespace longgen {

/// Index of a page in its pool; never negative.
using PageId = int32_t;
/// Stands where no page holds a block.
inline constexpr PageId kNoPage = -1;

/// A page, and the block of tokens that it holds in a page table of a sequence: that of a group of
/// layers and a KV head, table = group * KV heads + KV head.
struct HeldPage {
  int32_t table, block;
  PageId page;
};

}  // namespace longgen
