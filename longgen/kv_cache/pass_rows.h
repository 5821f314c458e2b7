// kv_cache/pass_rows.h: the entries of PassTables, the same numbers on the CPU and the
// GPU, and of what changes them there. No torch.
#pragma once

#include <cstdint>

namespace longgen {

/// Query rows [first_row, first_row + num_rows) stand at positions first_position, ...
/// of one sequence.
struct alignas(16) PassSequence {
  int32_t first_row, num_rows, first_position, unused;
};

/// The rows of one sequence that stand in one block, at its places first_place, first_place + 1
/// and so on.
struct alignas(16) PassRun {
  int32_t first_row, num_rows, first_place, unused;
};

/// A block of keys and the page that holds it.
struct alignas(8) PassBlock {
  int32_t page;
  int32_t block_and_fate;

  static constexpr PassBlock of(int32_t page, int32_t block, bool lives_on) {
    return {page, block * 2 + (lives_on ? 1 : 0)};
  }
  constexpr int block() const { return block_and_fate >> 1; }
  /// Every later token sees the block: a sink, on the stride, or of a full layer. Otherwise query
  /// block i sees it while i - block < window_blocks.
  constexpr bool lives_on() const { return (block_and_fate & 1) != 0; }
};

/// A copy of `count` units, of 8 bytes each, from place `from` of an upload to place `to` of the
/// tables.
struct alignas(16) TablePiece {
  int32_t from, to, count, unused;

  static constexpr int kMostUnits = 256;  // the threads of the CTA that copies it
};

}  // namespace longgen
