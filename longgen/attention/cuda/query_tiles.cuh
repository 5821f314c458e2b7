// attention/cuda/query_tiles.cuh: what the attention kernels share, above all those that walk over tiles of 128 query rows: the
// forward pass and the gradient of q. A CTA has a producer warpgroup, which keeps stages of 128 keys and values full, and two
// consumer warpgroups of 64 query rows each.
#pragma once

#include "longgen/attention/cuda/launch.cuh"
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

/// The body of a kernel: after the barriers are made, one thread of the first warpgroup is the producer, the other two
/// warpgroups are the consumers and have its registers.
template <typename Shared, typename Produce, typename Consume>
__device__ __forceinline__ void run_warpgroups(Shared& shared, const Produce& produce, const Consume& consume) {
  if (threadIdx.x == 0) {
    shared.init_barriers();
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    give_up_registers<24>();
    if (threadIdx.x < 32 && elect_one()) produce();
  } else {
    take_registers<240>();
    consume();
  }
}

/// Where a thread of a consumer warpgroup stands.
struct ConsumerThread {
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;  // of the two consumer warpgroups
  const int lane = threadIdx.x % 32;
  const int row = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;  // its first row of the warpgroup's 64

  /// The warp's products no longer need what the barrier guards.
  __device__ __forceinline__ void release(uint64_t* empty) const {
    if (lane == 0) barrier_arrive(empty);
  }
  /// The same where its lanes have read that themselves, too.
  __device__ __forceinline__ void release_read(uint64_t* empty) const {
    __syncwarp();
    release(empty);
  }
};

/// A tile and what it visits; the same numbers in the producer and in the consumers.
struct Work {
  SequenceRows rows;
  int head, kv_head, position;  // of the tile's first row
  KeyBlocks blocks;

  template <typename Source>
  __device__ __forceinline__ static Work of(const AttendProblem& p, const Source& source, int item) {
    // Heads one after the other, so that CTAs share keys in L2; late tiles first: with strided blocks or full layers they
    // are the longest.
    const int head = item / p.num_tiles;
    const TileOfRows tile = p.tiles[p.num_tiles - 1 - item % p.num_tiles];
    const SequenceRows rows = source.rows_of(tile.sequence);
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

/// The 64 rows of one head from `row` on, panel_bytes from panel to panel.
template <int kHeadSize>
__device__ __forceinline__ void load_block(uint8_t* to, int panel_bytes, const CUtensorMap* map, uint64_t* full, int head,
                                           int row) {
#pragma unroll
  for (int panel = 0; panel < TileBytes<kHeadSize>::kPanels; ++panel) {
    copy_box_3d(to + panel * panel_bytes, map, full, panel * kPanelColumns, head, row);
  }
}

/// Where produce_tiles() finds keys and values: in two tensors. Other sources have the same functions.
class TensorSource {
 public:
  __device__ TensorSource(const AttendProblem& problem, const CUtensorMap* k, const CUtensorMap* v)
      : sequences_(problem.sequences), k_(k), v_(v) {}

  __device__ __forceinline__ SequenceRows rows_of(int sequence) const { return sequences_[sequence]; }
  /// The next calls are about this tile.
  __device__ __forceinline__ void begin(const Work& work) {
    key_shift_ = work.rows.key_shift;
    kv_head_ = work.kv_head;
  }
  /// What load() must know of a block; asked for one step ahead.
  __device__ __forceinline__ int place_of(int block) const { return block * kBlock + key_shift_; }
  template <int kHeadSize>
  __device__ __forceinline__ void load_k(uint8_t* to, uint64_t* full, int place) const {
    load_block<kHeadSize>(to, kKeyPanelBytes, k_, full, kv_head_, place);
  }
  template <int kHeadSize>
  __device__ __forceinline__ void load_v(uint8_t* to, uint64_t* full, int place) const {
    load_block<kHeadSize>(to, kKeyPanelBytes, v_, full, kv_head_, place);
  }

 private:
  const SequenceRows* sequences_;
  const CUtensorMap *k_, *v_;
  int key_shift_ = 0, kv_head_ = 0;
};

/// The 64 rows of each warpgroup, from a tensor of query rows. The barrier gets 2 * kRows64 bytes.
template <int kHeadSize>
__device__ __forceinline__ void load_query_rows(uint8_t (&to)[2][TileBytes<kHeadSize>::kRows64], const CUtensorMap* map,
                                                uint64_t* full, const Work& work) {
#pragma unroll
  for (int group = 0; group < 2; ++group) {
    load_block<kHeadSize>(to[group], kBlockPanelBytes, map, full, work.head,
                          work.position + group * kBlock + work.rows.row_shift);
  }
}

/// In shared memory: the tile at work, whose rows the kernel keeps itself, and the stages of its keys and values.
template <int kHeadSize>
struct TileStages {
  static constexpr int kStages = kHeadSize == 64 ? 4 : 2;
  alignas(1024) uint8_t k[kStages][TileBytes<kHeadSize>::kStage];
  alignas(1024) uint8_t v[kStages][TileBytes<kHeadSize>::kStage];
  Work work[2];  // of this tile and the next; made by the producer, so that it takes no registers of the consumers
  uint64_t q_full, q_empty;
  uint64_t k_full[kStages], k_empty[kStages];
  uint64_t v_full[kStages], v_empty[kStages];

  __device__ __forceinline__ void init_barriers() {
    barrier_init(&q_full, 1);
    barrier_init(&q_empty, kConsumerWarps);
    for (int stage = 0; stage < kStages; ++stage) {
      barrier_init(&k_full[stage], 1);
      barrier_init(&k_empty[stage], kConsumerWarps);
      barrier_init(&v_full[stage], 1);
      barrier_init(&v_empty[stage], kConsumerWarps);
    }
  }
};

/// The producer: load_rows(work) fetches the rows of a tile, row_bytes in all, to the barrier q_full.
template <int kHeadSize, typename Source, typename LoadRows>
__device__ __forceinline__ void produce_tiles(const AttendProblem& problem, Source source, TileStages<kHeadSize>& shared,
                                              int row_bytes, const LoadRows& load_rows) {
  constexpr int kStageBytes = TileBytes<kHeadSize>::kStage;
  const int num_items = problem.num_tiles * problem.num_heads;
  Ring<TileStages<kHeadSize>::kStages> ring;
  uint32_t q_phase = 0;
  for (int item = blockIdx.x;;) {
    barrier_wait(&shared.q_empty, q_phase ^ 1);
    if (item >= num_items) {
      shared.work[q_phase].head = -1;  // no more
      barrier_arrive(&shared.q_full);
      return;
    }
    const Work work = Work::of(problem, source, item);
    shared.work[q_phase] = work;
    q_phase ^= 1;
    barrier_expect(&shared.q_full, row_bytes);
    load_rows(work);
    item = take_item(problem.counters);
    source.begin(work);
    int next[2] = {source.place_of(work.block(0, 0)), source.place_of(work.block(0, 1))};
    for (int step = 0; step < work.num_steps(); ++step) {
      const int places[2] = {next[0], next[1]};
      for (int half = 0; half < 2 && step + 1 < work.num_steps(); ++half) {
        next[half] = source.place_of(work.block(step + 1, half));
      }
      uint8_t *const k = shared.k[ring.stage], *const v = shared.v[ring.stage];
      uint64_t *const k_full = &shared.k_full[ring.stage], *const v_full = &shared.v_full[ring.stage];
      barrier_wait(&shared.k_empty[ring.stage], ring.phase ^ 1);
      barrier_expect(k_full, kStageBytes);
      source.template load_k<kHeadSize>(k, k_full, places[0]);
      source.template load_k<kHeadSize>(k + kBlockPanelBytes, k_full, places[1]);
      barrier_wait(&shared.v_empty[ring.stage], ring.phase ^ 1);
      barrier_expect(v_full, kStageBytes);
      source.template load_v<kHeadSize>(v, v_full, places[0]);
      source.template load_v<kHeadSize>(v + kBlockPanelBytes, v_full, places[1]);
      ring.next();
    }
  }
}

/// The consumers: tile(work) for every tile; it changes q_phase when it is done with the rows.
template <int kHeadSize, typename Tile>
__device__ __forceinline__ void consume_tiles(TileStages<kHeadSize>& shared, const uint32_t& q_phase, const Tile& tile) {
  while (true) {
    barrier_wait(&shared.q_full, q_phase);
    const Work& work = shared.work[q_phase];
    if (work.head < 0) return;
    tile(work);
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
