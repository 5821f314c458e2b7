// attention/cuda/query_tiles.cuh: what the attention kernels share, above all those that walk
// over tiles of 128 query rows: the forward pass and the gradient of q. A CTA has a producer
// warpgroup, which keeps stages of 128 keys and values full, and two consumer warpgroups of 64
// query rows each.
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

/// How many bytes a tensor map writes (see wgmma.cuh).
template <int kHeadSize>
struct TileBytes {
  static constexpr int kPanels = kHeadSize / kPanelColumns;
  static constexpr int kRows64 = kPanels * kBlockPanelBytes;  // 64 rows, as one block
  static constexpr int kStage = kPanels * kKeyPanelBytes;  // 128 rows of two blocks, panel by panel
};

/// The body of a kernel: after the barriers are made, one thread of the first warp produces, one of
/// the second makes the work ahead, and the other two warpgroups are the consumers, which have most
/// registers of the first: of 504 for a thread of each of the three it keeps kProducerRegisters, a
/// multiple of 16 plus 8.
template <int kProducerRegisters, typename Shared, typename Produce, typename MakeWork,
          typename Consume>
__device__ __forceinline__ void run_warpgroups(Shared& shared, const Produce& produce,
                                               const MakeWork& make_work, const Consume& consume) {
  if (threadIdx.x == 0) {
    shared.init_barriers();
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    give_up_registers<kProducerRegisters>();
    if (threadIdx.x < 32) {
      if (elect_one()) produce();
    } else if (threadIdx.x < 64) {
      if (elect_one()) make_work();
    }
  } else {
    take_registers<(504 - kProducerRegisters) / 2>();
    consume();
  }
}

/// Where a thread of a consumer warpgroup stands.
struct ConsumerThread {
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;  // of the two consumer warpgroups
  const int lane = threadIdx.x % 32;
  // The thread's first row of the warpgroup's 64.
  const int row = threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;

  /// Says that the warp's products no longer need what the barrier guards.
  __device__ __forceinline__ void release(uint64_t* empty) const {
    if (lane == 0) barrier_arrive(empty);
  }
  /// Does the same where the warp's lanes have read boxes of a tensor map themselves. After reading
  /// what other threads write or copy_bytes() brings, every lane arrives itself: racecheck takes no
  /// order from this one (docs/develop/gpu_tests.md).
  __device__ __forceinline__ void release_read(uint64_t* empty) const {
    __syncwarp();
    release(empty);
  }
};

/// A tile and what it visits.
struct Work {
  SequenceRows rows;
  int head, kv_head, position;  // of the tile's first row
  KeyBlocks blocks;

  template <typename Source>
  __device__ __forceinline__ static Work of(const AttendProblem& p, const Source& source,
                                            int item) {
    // Heads one after the other, so that CTAs share keys in L2; late tiles first: with strided
    // blocks or full layers they are the longest.
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
  /// The first block of the last step may be missing: its place gets the second one, and nobody
  /// looks at it.
  __device__ __forceinline__ int block(int step, int half) const {
    return blocks[min(2 * step + half, blocks.count() - 1)];
  }
  __device__ __forceinline__ bool missing(int step, int half) const {
    return half == 0 && 2 * step + 1 == blocks.count();
  }
  /// Whether every row sees both blocks of a step whole. See KeyBlocks::are_whole().
  __device__ __forceinline__ bool sees_all(int step) const { return blocks.are_whole(2 * step); }
};

/// Fetches the 64 rows of one head from `row` on; its panels lie panel_bytes apart.
template <int kHeadSize>
__device__ __forceinline__ void load_block(uint8_t* to, int panel_bytes, const CUtensorMap* map,
                                           uint64_t* full, int head, int row) {
#pragma unroll
  for (int panel = 0; panel < TileBytes<kHeadSize>::kPanels; ++panel) {
    copy_box_3d(to + panel * panel_bytes, map, full, panel * kPanelColumns, head, row);
  }
}

/// Where a TileProducer finds keys and values: in two tensors. Other sources have
/// the same functions.
class TensorSource {
 public:
  __device__ TensorSource(const AttendProblem& problem, const CUtensorMap* k, const CUtensorMap* v)
      : sequences_(problem.sequences), k_(k), v_(v) {}

  __device__ __forceinline__ SequenceRows rows_of(int sequence) const {
    return sequences_[sequence];
  }
  /// Says that the next calls are about this tile.
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

/// Fetches the 64 rows of a warpgroup from a tensor of query rows. The barrier gets kRows64 bytes.
template <int kHeadSize>
__device__ __forceinline__ void load_query_rows(uint8_t* to, const CUtensorMap* map, uint64_t* full,
                                                const Work& work, int group) {
  load_block<kHeadSize>(to, kBlockPanelBytes, map, full, work.head,
                        work.position + group * kBlock + work.rows.row_shift);
}

/// The barriers of a ring of stages: of the copies into a stage, and of the kReaders, consumer
/// warps or threads, that no longer need it.
template <int kStages, int kReaders = kConsumerWarps>
struct Gates {
  uint64_t full[kStages], empty[kStages];

  __device__ __forceinline__ void init() {
    for (int stage = 0; stage < kStages; ++stage) {
      barrier_init(&full[stage], 1);
      barrier_init(&empty[stage], kReaders);
    }
  }
  /// For the producer: waits until the stage is free, announces bytes, and returns the barrier
  /// for their copies.
  __device__ __forceinline__ uint64_t* open(const Ring<kStages>& ring, uint32_t bytes) {
    barrier_wait(&empty[ring.stage], ring.phase ^ 1);
    barrier_expect(&full[ring.stage], bytes);
    return &full[ring.stage];
  }
  /// For a consumer: waits for the copies.
  __device__ __forceinline__ void wait(const Ring<kStages>& ring) {
    barrier_wait(&full[ring.stage], ring.phase);
  }
};

/// The work of a CTA, in shared memory. A thread of its own makes it one item ahead, so that nobody
/// waits for the memory that it is read from.
template <typename Item>
class WorkQueue {
 public:
  /// The place of a reader, which is the producer or a consumer warpgroup.
  using Place = Ring<2>;

  __device__ __forceinline__ void init_barriers() { gates_.init(); }
  /// Puts in make(index) for every index below num_items that no other CTA takes.
  template <typename Make>
  __device__ __forceinline__ void fill(int num_items, int* counter, const Make& make) {
    for (Place place;; place.next()) {
      barrier_wait(&gates_.empty[place.stage], place.phase ^ 1);
      const int index = atomicAdd(counter, 1);
      is_end_[place.stage] = index >= num_items;
      if (index < num_items) items_[place.stage] = make(index);
      barrier_arrive(&gates_.full[place.stage]);
      if (index >= num_items) return;
    }
  }
  /// Waits for the item at a place; null if there are no more.
  __device__ __forceinline__ const Item* wait(const Place& place) {
    gates_.wait(place);
    return is_end_[place.stage] ? nullptr : &items_[place.stage];
  }
  /// Where the producer and every consumer thread arrive when they no longer need the item.
  __device__ __forceinline__ uint64_t* empty(const Place& place) {
    return &gates_.empty[place.stage];
  }

 private:
  Item items_[2];
  bool is_end_[2];
  Gates<2, 1 + kConsumerThreads> gates_;
};

/// The tiles at work in shared memory: their rows, which the kernel keeps itself once or twice, and
/// the stages of their keys and values.
template <int kHeadSize, int kRowBuffers_, int kStagesOfK_, int kStagesOfV_>
struct TileStages {
  static constexpr int kRowBuffers = kRowBuffers_, kStagesOfK = kStagesOfK_,
                       kStagesOfV = kStagesOfV_;
  alignas(1024) uint8_t k[kStagesOfK][TileBytes<kHeadSize>::kStage];
  alignas(1024) uint8_t v[kStagesOfV][TileBytes<kHeadSize>::kStage];
  WorkQueue<Work> queue;
  Gates<kRowBuffers, kConsumerWarps / 2> rows_gates[2];  // of each warpgroup
  Gates<kStagesOfK> k_gates;
  Gates<kStagesOfV> v_gates;

  __device__ __forceinline__ void init_barriers() {
    queue.init_barriers();
    for (auto& of_group : rows_gates) of_group.init();
    k_gates.init();
    v_gates.init();
  }
};

/// The producer. Rows fetches a tile's rows: load(work, group, buffer, barrier) those of a
/// warpgroup, kBytes, and where kHasMore load_more(work, to, barrier) others of both, which fill a
/// stage of K, the one before that of the first step.
template <int kHeadSize, typename Shared, typename Source, typename Rows>
class TileProducer {
 public:
  __device__ TileProducer(Shared& shared, const Source& source, const Rows& rows)
      : shared_(shared), source_(source), rows_(rows) {}

  __device__ __forceinline__ void run() {
    typename WorkQueue<Work>::Place place;
    while (const Work* const work = shared_.queue.wait(place)) {
      source_.begin(*work);
      // A second buffer is free long before the tile begins. A single one is not: the first keys
      // and values come ahead.
      if (Shared::kRowBuffers > 1) load_rows(*work);
      if constexpr (Rows::kHasMore) {
        uint64_t* const full = shared_.k_gates.open(k_ring_, kStageBytes);
        rows_.load_more(*work, shared_.k[k_ring_.stage], full);
        k_ring_.next();
      }
      for (int half = 0; half < 2; ++half) next_[half] = source_.place_of(work->block(0, half));
      load_step(*work, 0);
      if (Shared::kRowBuffers == 1) load_rows(*work);
      for (int step = 1; step < work->num_steps(); ++step) load_step(*work, step);
      barrier_arrive(shared_.queue.empty(place));
      place.next();
    }
  }

 private:
  static constexpr int kStageBytes = TileBytes<kHeadSize>::kStage;

  __device__ __forceinline__ void load_rows(const Work& work) {
    for (int group = 0; group < 2; ++group) {
      rows_.load(work, group, rows_ring_.stage,
                 shared_.rows_gates[group].open(rows_ring_, Rows::kBytes));
    }
    rows_ring_.next();
  }

  __device__ __forceinline__ void load_step(const Work& work, int step) {
    const int places[2] = {next_[0], next_[1]};
    for (int half = 0; half < 2 && step + 1 < work.num_steps(); ++half) {
      next_[half] = source_.place_of(work.block(step + 1, half));
    }
    uint8_t *const k = shared_.k[k_ring_.stage], *const v = shared_.v[v_ring_.stage];
    uint64_t* const k_full = shared_.k_gates.open(k_ring_, kStageBytes);
    source_.template load_k<kHeadSize>(k, k_full, places[0]);
    source_.template load_k<kHeadSize>(k + kBlockPanelBytes, k_full, places[1]);
    k_ring_.next();
    uint64_t* const v_full = shared_.v_gates.open(v_ring_, kStageBytes);
    source_.template load_v<kHeadSize>(v, v_full, places[0]);
    source_.template load_v<kHeadSize>(v + kBlockPanelBytes, v_full, places[1]);
    v_ring_.next();
  }

  Shared& shared_;
  Source source_;
  const Rows& rows_;
  Ring<Shared::kRowBuffers> rows_ring_;
  Ring<Shared::kStagesOfK> k_ring_;
  Ring<Shared::kStagesOfV> v_ring_;
  int next_[2];  // places of the next step's blocks
};

/// A kernel that walks over tiles: run_warpgroups() with a TileProducer.
template <int kHeadSize, int kProducerRegisters, typename Shared, typename Source, typename Rows,
          typename Consume>
__device__ __forceinline__ void run_tiles(const AttendProblem& problem, Shared& shared,
                                          const Source& source, const Rows& rows,
                                          const Consume& consume) {
  const auto produce = [&] {
    TileProducer<kHeadSize, Shared, Source, Rows>(shared, source, rows).run();
  };
  const auto make_work = [&] {
    shared.queue.fill(problem.num_tiles * problem.num_heads, problem.counters,
                      [&](int index) { return Work::of(problem, source, index); });
  };
  run_warpgroups<kProducerRegisters>(shared, produce, make_work, consume);
}

/// Issues result (64, 128) = rows keys^T and does not wait for it: scores from q and k, or the
/// gradient of the probabilities from that of the output and v. With kBlocks 1 it is the second
/// block of the stage alone, (64, 64) in the first half of the registers.
template <int kHeadSize, int kBlocks = 2, int kCount>
__device__ __forceinline__ void issue_rows_times_keys(float (&result)[kCount], const uint8_t* rows,
                                                      const uint8_t* keys) {
  if constexpr (kBlocks == 1) keys += kBlockPanelBytes;
  wgmma_fence();
#pragma unroll
  for (int d = 0; d < kHeadSize; d += 16) {
    const int panel = d / kPanelColumns, bytes = d % kPanelColumns * 2;
    wgmma_shared<64 * kBlocks>(
        result, advanced(descriptor_of_rows(rows + panel * kBlockPanelBytes), bytes),
        advanced(descriptor_of_rows(keys + panel * kKeyPanelBytes), bytes), d > 0);
  }
  wgmma_commit();
}

/// Issues result (64, D) += fragments values and does not wait for it: p v, or the gradient of q
/// from that of the scores and k.
template <int kHeadSize, int kBlocks = 2, int kFragments>
__device__ __forceinline__ void issue_fragments_times_values(
    float (&result)[kHeadSize / 2], const uint32_t (&fragments)[kFragments][4],
    const uint8_t* values) {
  if constexpr (kBlocks == 1) values += kBlockPanelBytes;
  wgmma_fence();
#pragma unroll
  for (int key = 0; key < kBlocks * kBlock; key += 16) {
    wgmma_registers<kHeadSize>(result, fragments[key / 16],
                               descriptor_of_columns(values + key * kPanelRowBytes, kKeyPanelBytes),
                               true);
  }
  wgmma_commit();
}

/// The first kUsed groups of 16 columns of a result as operands A.
template <int kUsed, int kFragments>
__device__ __forceinline__ void round_to_fragments(const float (&result)[8 * kFragments],
                                                   uint32_t (&fragments)[kFragments][4]) {
#pragma unroll
  for (int i = 0; i < kUsed; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      fragments[i][j] = pack_bf16(result[8 * i + 2 * j], result[8 * i + 2 * j + 1]);
  }
}

/// Row r (0, or 1: the row 8 below) of a (64, D) result, times `factor`, as bf16. All threads of
/// the warp call it; rows that are not `wanted` are left out. `to` is 16-byte aligned.
template <int kHeadSize>
__device__ __forceinline__ void store_row(const float (&result)[kHeadSize / 2], int r, float factor,
                                          __nv_bfloat16* to, bool wanted) {
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
      *reinterpret_cast<uint4*>(to + 8 * (first + threadIdx.x % 4)) =
          make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
}

/// What a warpgroup's query block sees of the two blocks of a step.
struct StepViews {
  BlockView of[2];
  __device__ __forceinline__ StepViews(const BlockPattern& pattern, const Work& work, int group,
                                       int step) {
    const int query_block = work.position / kBlock + group;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      of[half] = work.missing(step, half)
                     ? BlockView::none
                     : view_of(pattern, query_block, work.block(step, half), work.kv_head);
    }
  }
  /// Whether only the second block is of interest.
  __device__ __forceinline__ bool is_half() const { return of[0] == BlockView::none; }

  /// Replaces what the pattern does not keep in a fragment of kBlocks blocks; `row` is the
  /// thread's first row.
  template <int kBlocks, int kCount>
  __device__ __forceinline__ void mask(float (&result)[kCount], int row, float masked) const {
    const bool all = of[1] == BlockView::whole && (kBlocks == 1 || of[0] == BlockView::whole);
    if (all) return;
#pragma unroll
    for (int i = 0; i < 32 * kBlocks; ++i) {
      const BlockView view = of[kBlocks == 1 ? 1 : i / 32];
      const int column = i % 32 / 4 * 8 + threadIdx.x % 4 * 2 + (i & 1);
      const bool seen =
          view == BlockView::whole || (view == BlockView::diagonal && column <= row + (i & 2) * 4);
      if (!seen) result[i] = masked;
    }
  }
};

}  // namespace longgen::cuda
