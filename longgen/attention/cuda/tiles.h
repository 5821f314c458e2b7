// attention/cuda/tiles.h: which key blocks a tile of query rows visits: the device's side of
// Pattern, held against it by a test on the CPU.
#pragma once

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

LG_DEVICE int lesser(int a, int b) { return a < b ? a : b; }
LG_DEVICE int greater(int a, int b) { return a < b ? b : a; }

enum class BlockView { none, whole, diagonal };

LG_DEVICE bool on_stride(const BlockPattern& pattern, int key_block, int kv_head) {
  return pattern.stride_blocks > 0 &&
         (key_block + pattern.stride_offsets[kv_head]) % pattern.stride_blocks == 0;
}

/// What query block i sees of key block j.
LG_DEVICE BlockView view_of(const BlockPattern& pattern, int i, int j, int kv_head) {
  if (j > i) return BlockView::none;
  const bool keeps =
      i - j < pattern.window_blocks || j < pattern.sink_blocks || on_stride(pattern, j, kv_head);
  if (!keeps) return BlockView::none;
  return j == i ? BlockView::diagonal : BlockView::whole;
}

/// The key blocks that query blocks [first, last] see, from the latest to the sinks: near ones
/// (window, diagonal), strided ones, sinks. Never none. Pattern::visible_blocks() gives the same,
/// ascending, except that the diagonal blocks are always among these: with a window of 0 blocks
/// they may be seen by no row, and are masked.
struct KeyBlocks {
  int last, num_near, stride, last_strided, num_strided, num_sinks;

  KeyBlocks() = default;
  LG_DEVICE KeyBlocks(const BlockPattern& pattern, int first, int last_block, int kv_head) {
    last = last_block;
    const int near = greater(first - greater(pattern.window_blocks, 1) + 1, 0);
    num_near = last + 1 - near;
    num_sinks = lesser(pattern.sink_blocks, near);
    stride = pattern.stride_blocks;
    last_strided = num_strided = 0;
    if (stride > 0) {  // blocks j in [num_sinks, near) with (j + offset) % stride == 0
      const int offset = pattern.stride_offsets[kv_head];
      const int end = (near - 1 + offset) / stride;  // the last multiple before `near`
      const int begin = (num_sinks + offset + stride - 1) / stride;
      num_strided = near > 0 ? greater(end - begin + 1, 0) : 0;
      last_strided = end * stride - offset;
    }
  }

  LG_DEVICE int count() const { return num_near + num_strided + num_sinks; }
  LG_DEVICE int operator[](int n) const {
    if (n < num_near) return last - n;
    n -= num_near;
    if (n < num_strided) return last_strided - n * stride;
    return num_sinks - 1 - (n - num_strided);
  }
  /// Whether all of the query blocks see the nth block and the next one whole, told without a look
  /// at the pattern. It may say no of blocks that are: of the first two, of the one before the far
  /// end of the window or of that, and of a last one alone.
  LG_DEVICE bool are_whole(int n) const {
    const int end_of_window = num_near - 1;
    return n > 1 && n + 1 < count() && (n + 1 < end_of_window || n > end_of_window);
  }
  /// The n with operator[](n) == block; block must be one of these.
  LG_DEVICE int find(int block) const {
    if (block > last - num_near) return last - block;
    if (block >= num_sinks) return num_near + (last_strided - block) / stride;
    return count() - 1 - block;
  }
};

}  // namespace longgen::cuda
