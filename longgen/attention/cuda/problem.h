// attention/cuda/problem.h: what the attention kernels are told, in plain numbers. No torch.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define LG_DEVICE __host__ __device__ __forceinline__
#else
#define LG_DEVICE inline
#endif

namespace longgen::cuda {

constexpr int kBlock = 64;        // tokens of a block (Pattern::kBlock)
constexpr int kTileRows = 128;    // query rows of a tile: two blocks
constexpr int kMaxKvHeads = 256;  // size of the table of stride offsets below

/// A Pattern with everything spelled out. A full layer has a window larger than any sequence.
struct BlockPattern {
  int sink_blocks, window_blocks, stride_blocks;
  int16_t stride_offsets[kMaxKvHeads];
};

/// One sequence of a call: its positions [begin, end) have query rows, positions [0, end) keys.
struct SequenceRows {
  int begin, end;
  int row_shift;    // query row of position p: p + row_shift
  int key_shift;    // key row of position p: p + key_shift
  int first_block;  // of query block i in arrays padded to whole tiles: first_block + i
};

/// One tile of query rows: positions [kTileRows * index, ...) of a sequence.
struct TileOfRows {
  int sequence, index;
};

/// (rows, heads, head size) in bf16; strides in elements, multiples of 8, the last one is 1. Rows
/// start at multiples of 16 bytes.
struct HeadRows {
  void* data;
  int64_t row_stride, head_stride;
};

/// A pair of key blocks of one KV head, and the query blocks [first_query, end_query) that are
/// visited for it; each of the group's query heads in turn.
struct KeyItem {
  int sequence, kv_head;
  int blocks[2];  // -1: none
  int first_query, end_query;
  int slot;  // -1: writes the result; otherwise fp32 partial sums to places 2 * slot, 2 * slot + 1

  /// One block for both warpgroups, which take its query blocks by turns.
  LG_DEVICE bool is_shared() const { return blocks[0] == blocks[1]; }
};

/// A block whose column is divided: the sum of partial sums first_partial, + step, + 2 * step, ...
struct KeySum {
  int sequence, kv_head, block;
  int first_partial, num_partials, step;
};

struct AttendProblem {
  HeadRows q, k, v;
  int64_t num_rows, num_keys;  // of q; of k and v
  int num_heads, num_kv_heads, head_size;
  float scale;
  BlockPattern pattern;
  /// Sequences and their tiles, on the device. The tiles of a sequence ascend.
  const SequenceRows* sequences;
  const TileOfRows* tiles;
  int num_tiles;
  /// kNumCounters zeros on the device. CTAs take their items from them, so that none waits for a
  /// long item of another.
  int* counters;
};
constexpr int kNumCounters = 2;

}  // namespace longgen::cuda
