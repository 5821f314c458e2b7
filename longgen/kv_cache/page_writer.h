// kv_cache/page_writer.h: what lies inside a page, and how new tokens get there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "longgen/attention/cpu/sequences.h"
#include "longgen/kv_cache/page_format.h"

namespace longgen {

/// K and V of one block of one KV head of one layer, KvLayout::block_bytes() long, as the CPU
/// kernels read them:
///   K  (D, 64)  transposed: a column is a key
///   V  (64, D)  rows without padding
/// What lies in the columns and rows of tokens that are not written yet is undefined.
struct PageBlock {
  std::byte* memory;
  int64_t head_size;
  PageType type;

  cpu::KeyBlock key_block() const;
  /// Writes num_rows tokens from the first rows of k and v, whose rows have head_size values of the
  /// block's dtype, to the places first_token, first_token + 1, ... of the block.
  void write(int64_t first_token, int64_t num_rows, cpu::RowsIn k, cpu::RowsIn v) const;
};

}  // namespace longgen
