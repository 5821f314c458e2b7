// attention/cuda/query_tiles.cuh: what the kernels that walk over tiles of 128 query rows share: the forward pass and the
// gradient of q. A CTA has a producer warpgroup, which keeps stages of 128 keys and values full, and two consumer
// warpgroups of 64 query rows each.
#pragma once

#include "longgen/attention/cuda/problem.h"
#include "longgen/attention/cuda/softmax.cuh"
#include "longgen/attention/cuda/tiles.h"
#include "longgen/attention/cuda/wgmma.cuh"

namespace longgen::cuda {

constexpr int kThreads = 384;
constexpr int kConsumerWarps = 8;
constexpr int kConsumerThreads = 256;
constexpr int kKeys = 128;  // of a stage: two blocks at any places
constexpr int kBlockPanelBytes = kBlock * kPanelRowBytes;
constexpr int kKeyPanelBytes = kKeys * kPanelRowBytes;

/// Sizes of what a tensor map writes (see wgmma.cuh).
template <int kHeadSize>
struct TileBytes {
  static constexpr int kPanels = kHeadSize / kPanelColumns;
  static constexpr int kRows64 = kPanels * kBlockPanelBytes;   // 64 rows, as one block
  static constexpr int kStage = kPanels * kKeyPanelBytes;      // 128 rows of two blocks, panel by panel
};

/// Position in a ring of stages.
template <int kStages>
struct Ring {
  int stage = 0;
  uint32_t phase = 0;
  __device__ __forceinline__ void next() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

/// A tile and what it visits; the same numbers in the producer and in the consumers.
struct Work {
  SequenceRows rows;
  int head, kv_head, position;  // of the tile's first row
  KeyBlocks blocks;

  __device__ __forceinline__ static Work of(const AttendProblem& p, int item) {
    // Heads one after the other, so that CTAs share keys in L2; late tiles first: with strided blocks or full layers they
    // are the longest.
    const int head = item / p.num_tiles;
    const TileOfRows tile = p.tiles[p.num_tiles - 1 - item % p.num_tiles];
    const SequenceRows rows = p.sequences[tile.sequence];
    const int position = tile.index * kTileRows;
    const int first = max(position, rows.begin) / kBlock;
    const int last = (min(position + kTileRows, rows.end) - 1) / kBlock;
    const int kv_head = head / (p.num_heads / p.num_kv_heads);
    return {rows, head, kv_head, position, KeyBlocks(p.pattern, first, last, kv_head)};
  }
  __device__ __forceinline__ int num_steps() const { return (blocks.count() + 1) / 2; }
  /// The first block of the last step may be missing: its place gets the second one, and nobody looks at it.
  __device__ __forceinline__ int block(int step, int half) const {
    return blocks[min(2 * step + half, blocks.count() - 1)];
  }
  __device__ __forceinline__ bool missing(int step, int half) const {
    return half == 0 && 2 * step + 1 == blocks.count();
  }
};

/// Both blocks of a step, from k or v.
template <int kHeadSize>
__device__ __forceinline__ void load_keys(uint8_t* stage, const CUtensorMap* map, uint64_t* full, const Work& work,
                                          int step) {
  barrier_expect(full, TileBytes<kHeadSize>::kStage);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = work.block(step, half) * kBlock + work.rows.key_shift;
#pragma unroll
    for (int panel = 0; panel < TileBytes<kHeadSize>::kPanels; ++panel) {
      copy_box_3d(stage + panel * kKeyPanelBytes + half * kBlockPanelBytes, map, full, panel * kPanelColumns, work.kv_head,
                  row);
    }
  }
}

/// The 64 rows of each warpgroup, from a tensor of query rows. The barrier gets 2 * kRows64 bytes.
template <int kHeadSize>
__device__ __forceinline__ void load_query_rows(uint8_t (&to)[2][TileBytes<kHeadSize>::kRows64], const CUtensorMap* map,
                                                uint64_t* full, const Work& work) {
#pragma unroll
  for (int group = 0; group < 2; ++group) {
#pragma unroll
    for (int panel = 0; panel < TileBytes<kHeadSize>::kPanels; ++panel) {
      copy_box_3d(to[group] + panel * kBlockPanelBytes, map, full, panel * kPanelColumns, work.head,
                  work.position + group * kBlock + work.rows.row_shift);
    }
  }
}

/// result (64, 128) = rows keys^T, not waited for: scores from q and k, or the gradient of the probabilities from that of the
/// output and v. kBlocks 1: the second block of the stage alone, (64, 64) in the first half of the registers.
template <int kHeadSize, int kBlocks = 2>
__device__ __forceinline__ void issue_rows_times_keys(float (&result)[64], const uint8_t* rows, const uint8_t* keys) {
  if constexpr (kBlocks == 1) keys += kBlockPanelBytes;
  wgmma_fence();
#pragma unroll
  for (int d = 0; d < kHeadSize; d += 16) {
    const int panel = d / kPanelColumns, bytes = d % kPanelColumns * 2;
    wgmma_shared<64 * kBlocks>(result, advanced(descriptor_of_rows(rows + panel * kBlockPanelBytes), bytes),
                               advanced(descriptor_of_rows(keys + panel * kKeyPanelBytes), bytes), d > 0);
  }
  wgmma_commit();
}

/// result (64, D) += fragments values: p v, or the gradient of q from that of the scores and k. Not waited for.
template <int kHeadSize, int kBlocks = 2>
__device__ __forceinline__ void issue_fragments_times_values(float (&result)[kHeadSize / 2], const uint32_t (&fragments)[8][4],
                                                             const uint8_t* values) {
  if constexpr (kBlocks == 1) values += kBlockPanelBytes;
  wgmma_fence();
#pragma unroll
  for (int key = 0; key < kBlocks * kBlock; key += 16) {
    wgmma_registers<kHeadSize>(result, fragments[key / 16], descriptor_of_columns(values + key * kPanelRowBytes, kKeyPanelBytes),
                               true);
  }
  wgmma_commit();
}

/// The first kUsed groups of 16 columns of a result as operands A.
template <int kUsed, int kFragments>
__device__ __forceinline__ void round_to_fragments(const float (&result)[8 * kFragments], uint32_t (&fragments)[kFragments][4]) {
#pragma unroll
  for (int i = 0; i < kUsed; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) fragments[i][j] = pack_bf16(result[8 * i + 2 * j], result[8 * i + 2 * j + 1]);
  }
}

/// Row r (0, or 1: the row 8 below) of a (64, D) result, times `factor`, as bf16. All threads of the warp call it; rows that
/// are not `wanted` are left out. `to` is 16-byte aligned.
template <int kHeadSize>
__device__ __forceinline__ void store_row(const float (&result)[kHeadSize / 2], int r, float factor, __nv_bfloat16* to,
                                          bool wanted) {
#pragma unroll
  for (int first = 0; first < kHeadSize / 8; first += 4) {  // groups of 8 columns
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = 4 * (first + i) + 2 * r;
      words[i] = pack_bf16(result[at] * factor, result[at + 1] * factor);
    }
    transpose_quad(words);
    if (wanted) {
      *reinterpret_cast<uint4*>(to + 8 * (first + threadIdx.x % 4)) = make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
}

/// What a warpgroup's query block sees of the two blocks of a step.
struct StepViews {
  BlockView of[2];
  __device__ __forceinline__ StepViews(const BlockPattern& pattern, const Work& work, int group, int step) {
    const int query_block = work.position / kBlock + group;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      of[half] = work.missing(step, half) ? BlockView::none
                                          : view_of(pattern, query_block, work.block(step, half), work.kv_head);
    }
  }
  /// Whether only the second block is of interest.
  __device__ __forceinline__ bool is_half() const { return of[0] == BlockView::none; }

  /// Replaces what the pattern does not keep in a fragment of kBlocks blocks; `row` is the thread's first row.
  template <int kBlocks>
  __device__ __forceinline__ void mask(float (&result)[64], int row, float masked) const {
    const bool all = of[1] == BlockView::whole && (kBlocks == 1 || of[0] == BlockView::whole);
    if (all) return;
#pragma unroll
    for (int i = 0; i < 32 * kBlocks; ++i) {
      const BlockView view = of[kBlocks == 1 ? 1 : i / 32];
      const int column = i % 32 / 4 * 8 + threadIdx.x % 4 * 2 + (i & 1);
      const bool seen = view == BlockView::whole || (view == BlockView::diagonal && column <= row + (i & 2) * 4);
      if (!seen) result[i] = masked;
    }
  }
};

}  // namespace longgen::cuda
