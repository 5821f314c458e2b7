// Attention of few query tokens to the pages of a KV cache: reading the pages is what takes time.
// A producer warp copies K and V of one block after the other into a ring of shared memory. The
// rows of a CTA are the query tokens of a sequence times the query heads of a KV head, in one or
// two tiles of 16. Of each tile, four consumer warps take 16 keys of every block each, with a
// maximum, a sum and an output of their own, which are merged at the end of the pair. A pair
// (sequence, KV head) that several CTAs share (share.cuh) is added up by the one that finishes
// last, in order of the keys.
//
// Where a layer has few keys, what takes time is not reading them but the loads that wait for one
// another. So the tables come to shared memory first, all at once, and the queries are on their way
// before the keys, which would keep them waiting.
#include <cuda_pipeline_primitives.h>

#include "longgen/kv_cache/cuda/decode_tile.cuh"
#include "longgen/kv_cache/cuda/kernels.h"
#include "longgen/kv_cache/cuda/share.cuh"

namespace longgen::cuda {
namespace {

constexpr int kConsumerBarrier = 1;

struct Kernel {  // what the kernel is told
  DecodeArguments a;
  int group;  // query heads of a KV head
  float scale_log2;
};

/// A multiprocessor has registers for two CTAs of one tile, or for one CTA of two.
constexpr int ctas_per_multiprocessor(int row_tiles) { return row_tiles == 1 ? 2 : 1; }

template <int kHeadSize, int kRowTiles>
struct Sizes {
  static constexpr int kWarps = kRowTiles * kTileWarps;  // consumers
  static constexpr int kConsumers = 32 * kWarps;
  static constexpr int kThreads = kConsumers + 32;
  static constexpr int kRingBytes = (160 << 10) / ctas_per_multiprocessor(kRowTiles);
  static constexpr int kRows = kRowTiles * kDecodeRows;
  static constexpr int kSideBytes = side_bytes(kHeadSize);
  static constexpr int kSlots = kRingBytes / kSideBytes;
  static constexpr int kColumnGroups = kHeadSize / 8;
  static constexpr int kPartialFloats = kRows * (kHeadSize + 2);
  // The rows of a warp are merged eight at a time, far enough apart for the banks of shared memory.
  static constexpr int kMergeStride = kHeadSize + 8;
};

/// Tables of the pass, as far as they fit.
struct Tables {
  static constexpr int kMaxSequences = 128, kMaxStarts = 1025;
  PassSequence sequences[kMaxSequences];
  int32_t starts[kMaxStarts];
  int32_t row_begins[kMaxStarts - 1];
};

template <int kHeadSize, int kRowTiles>
struct Shared {
  using Size = Sizes<kHeadSize, kRowTiles>;
  alignas(128) uint8_t ring[Size::kSlots][Size::kSideBytes];  // K, V, K, V, ...
  alignas(128) uint8_t q[Size::kRows * kHeadSize * 2];        // panels of kRows rows
  alignas(128) float merge[Size::kWarps][8 * Size::kMergeStride];
  float2 stats[Size::kWarps][8];  // maximum and sum
  Tables tables;
  uint64_t full[Size::kSlots], empty[Size::kSlots];
  PassBlock blocks[Size::kSlots];  // what the ring holds
  int is_last;
};

/// Adds 1. Whoever adds later, and sees the sum, also sees what this thread saw before.
__device__ __forceinline__ int add_in_order(int* counter) {
  int before;
  asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}

/// Gives the same keys with their tables in shared memory, if they fit. All threads of the CTA call
/// it; the tables are there after the next __syncthreads().
__device__ __forceinline__ PagedKeys with_tables(PagedKeys keys, Tables& tables) {
  const int num_starts = keys.num_sequences * keys.num_kv_heads + 1;
  if (num_starts > Tables::kMaxStarts || keys.num_sequences > Tables::kMaxSequences) return keys;
  const int32_t* const row_begins = keys.row_begins != nullptr ? keys.row_begins : keys.starts;
  for (int i = threadIdx.x; i < num_starts; i += blockDim.x) {
    __pipeline_memcpy_async(&tables.starts[i], &keys.starts[i], sizeof(int32_t));
    if (i + 1 == num_starts) break;
    __pipeline_memcpy_async(&tables.row_begins[i], &row_begins[i], sizeof(int32_t));
  }
  for (int i = threadIdx.x; i < keys.num_sequences; i += blockDim.x) {
    __pipeline_memcpy_async(&tables.sequences[i], &keys.sequences[i], sizeof(PassSequence));
  }
  __pipeline_commit();
  __pipeline_wait_prior(0);
  keys.starts = tables.starts;
  keys.row_begins = tables.row_begins;
  keys.sequences = tables.sequences;
  return keys;
}

/// Finds blocks of the list in their rows, for a lane that asks for ever later ones.
struct ListedBlocks {
  const PagedKeys& keys;
  int pair;  // not behind that of the next block

  __device__ __forceinline__ PassBlock operator[](int block) {
    while (block >= keys.starts[pair + 1]) ++pair;
    return keys.row(pair)[block - keys.starts[pair]];
  }
};

template <int kHeadSize, int kRowTiles>
__device__ __forceinline__ void produce(const PagedKeys& keys, Shared<kHeadSize, kRowTiles>& shared,
                                        int begin, int end) {
  using Size = Sizes<kHeadSize, kRowTiles>;
  const int lane = threadIdx.x % 32;
  Ring<Size::kSlots> slot;
  ListedBlocks blocks = {keys, pair_of(keys.starts, keys.num_sequences * keys.num_kv_heads, begin)};
  PassBlock next = {};
  if (begin + lane < end) next = blocks[begin + lane];
  for (int base = begin; base < end; base += 32) {
    const PassBlock mine = next;
    if (base + 32 + lane < end) next = blocks[base + 32 + lane];
    for (int i = 0; i < min(32, end - base); ++i) {
      const PassBlock block = {__shfl_sync(kAllLanes, mine.page, i),
                               __shfl_sync(kAllLanes, mine.block_and_fate, i)};
      const std::byte* const from = keys.memory + block.page * keys.page_bytes;
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        if (lane == 0) {
          barrier_wait(&shared.empty[slot.stage], slot.phase ^ 1);
          shared.blocks[slot.stage] = block;
          barrier_expect(&shared.full[slot.stage], Size::kSideBytes);
          copy_bytes(shared.ring[slot.stage], from + side * Size::kSideBytes, Size::kSideBytes,
                     &shared.full[slot.stage]);
        }
        slot.next();
      }
    }
  }
}

template <int kHeadSize, int kRowTiles>
struct Consumer : DecodeTile<kHeadSize, kRowTiles * kDecodeRows> {
  using Size = Sizes<kHeadSize, kRowTiles>;
  using Tile = DecodeTile<kHeadSize, kRowTiles * kDecodeRows>;
  using Tile::lane, Tile::tile, Tile::quarter, Tile::lane_row;
  using Tile::position, Tile::out, Tile::top, Tile::sum;
  const Kernel& p;
  const PagedKeys& keys;
  Shared<kHeadSize, kRowTiles>& shared;
  const Shares& shares;
  Ring<Size::kSlots> slot;

  // The pair at work.
  PassSequence sequence;
  int kv_head;

  __device__ Consumer(const Kernel& kernel, const PagedKeys& paged_keys,
                      Shared<kHeadSize, kRowTiles>& memory, const Shares& s)
      : p(kernel), keys(paged_keys), shared(memory), shares(s) {}

  __device__ __forceinline__ void sync() const {
    named_barrier_sync(kConsumerBarrier, Size::kConsumers);
  }

  /// The row of the pair, counted over all of its query tokens and query heads.
  __device__ __forceinline__ int pair_row(int row) const {
    return static_cast<int>(blockIdx.x) * Size::kRows + row;
  }
  __device__ __forceinline__ bool is_row(int row) const {
    return pair_row(row) < sequence.num_rows * p.group;
  }
  __device__ __forceinline__ __nv_bfloat16* out_row(int row) const {
    const int64_t token = sequence.first_row + pair_row(row) / p.group;
    const int head = kv_head * p.group + pair_row(row) % p.group;
    return static_cast<__nv_bfloat16*>(p.a.out) + (token * p.a.num_heads + head) * kHeadSize;
  }

  __device__ void run(int begin, int end) {
    const int num_pairs = keys.num_sequences * keys.num_kv_heads;
    for (int pair = pair_of(keys.starts, num_pairs, begin); begin < end; ++pair) {
      const int pair_begin = keys.starts[pair], pair_end = keys.starts[pair + 1];
      const int segment_end = min(end, pair_end);
      if (begin >= segment_end) continue;  // a pair without keys
      start(pair);
      for (int block = begin; block < segment_end; ++block) step();
      finish(pair_begin, pair_end, begin, segment_end);
      begin = segment_end;
    }
  }

  __device__ __forceinline__ void start(int pair) {
    sequence = keys.sequences[pair / keys.num_kv_heads];
    kv_head = pair % keys.num_kv_heads;
    this->first_query_block = sequence.first_position / kBlock;
    this->last_query_block = (sequence.first_position + sequence.num_rows - 1) / kBlock;
    for (int i = threadIdx.x; i < Size::kRows * Size::kColumnGroups; i += Size::kConsumers) {
      const int row = i / Size::kColumnGroups, chunk = i % Size::kColumnGroups;
      uint4 values = make_uint4(0, 0, 0, 0);
      if (is_row(row)) {
        const int64_t token = sequence.first_row + pair_row(row) / p.group;
        const int head = kv_head * p.group + pair_row(row) % p.group;
        values = *reinterpret_cast<const uint4*>(static_cast<const __nv_bfloat16*>(p.a.q.data) +
                                                 token * p.a.q.row_stride +
                                                 head * p.a.q.head_stride + chunk * kChunkValues);
      }
      *reinterpret_cast<uint4*>(shared.q + chunk_offset(row, chunk, Size::kRows)) = values;
    }
    for (int half = 0; half < 2; ++half) {
      position[half] = sequence.first_position + pair_row(lane_row(half)) / p.group;
    }
    this->clear();
    sync();
    this->load_queries(shared_address(shared.q));
  }

  __device__ __forceinline__ void release() {
    __syncwarp();
    if (lane == 0) barrier_arrive(&shared.empty[slot.stage]);
    slot.next();
  }

  /// Attends to one block of keys, of which this warp takes 16.
  __device__ __forceinline__ void step() {
    barrier_wait(&shared.full[slot.stage], slot.phase);
    const PassBlock block = shared.blocks[slot.stage];
    float scores[2][4];
    this->multiply_keys(scores, shared_address(shared.ring[slot.stage]));
    release();
    this->mask(scores, block, keys.window_blocks, p.scale_log2);
    uint32_t weights[4];
    this->soften(scores, weights);
    barrier_wait(&shared.full[slot.stage], slot.phase);
    this->multiply_values(weights, shared_address(shared.ring[slot.stage]));
    release();
  }

  // ---- the end of a pair ----

  /// Share s holds at most two parts of pairs that others share too: of the pair that it begins
  /// with, and of the one that it ends with.
  __device__ __forceinline__ float* partial(int share, bool at_begin) const {
    const int64_t index = (int64_t{blockIdx.x} * gridDim.y + share) * 2 + (at_begin ? 0 : 1);
    return p.a.partials + index * Size::kPartialFloats;
  }

  __device__ __forceinline__ void finish(int pair_begin, int pair_end, int begin, int end) {
    const bool whole = begin == pair_begin && end == pair_end;
    float* const to = whole ? nullptr : partial(blockIdx.y, begin == shares.begin(blockIdx.y));
    merge(to);
    if (whole) return;
    const int first = shares.of(pair_begin), last = shares.of(pair_end - 1);
    sync();  // everything is stored
    if (threadIdx.x == 0) {
      int* const counter = p.a.counters + blockIdx.x * gridDim.y + first;
      shared.is_last = add_in_order(counter) == last - first;
      if (shared.is_last) *counter = 0;  // for the next launch
    }
    sync();
    if (!shared.is_last) return;
    combine(first, last, pair_begin);
  }

  /// Adds the results of a tile's warps and stores the sum, as the result or (`to`) as a part.
  __device__ __forceinline__ void merge(float* to) {
    for (int half = 0; half < 2; ++half) {  // rows 0 to 7 of every tile, rows 8 to 15
      if (!is_row(half * 8)) break;
      if (half == 1) sync();
      put(half);
      sync();
      add_and_store(half, to);
    }
  }

  __device__ __forceinline__ void put(int half) const {
    const int warp = threadIdx.x / 32;
    const float s = quad_sum(half == 0 ? sum[0] : sum[1]);
    if (lane % 4 == 0) {
      shared.stats[warp][lane / 4] = make_float2(half == 0 ? top[0] : top[1], s);
    }
    float* const row = shared.merge[warp] + lane / 4 * Size::kMergeStride + lane % 4 * 2;
#pragma unroll
    for (int c = 0; c < Size::kColumnGroups; ++c) {
      *reinterpret_cast<float2*>(row + c * 8) =
          half == 0 ? make_float2(out[c][0], out[c][1]) : make_float2(out[c][2], out[c][3]);
    }
  }

  /// 16 threads take a row, four columns in every 64.
  __device__ __forceinline__ void add_and_store(int half, float* to) const {
    const int row_of_half = threadIdx.x % (32 * kTileWarps) / 16, columns = threadIdx.x % 16 * 4;
    const int row = tile * kDecodeRows + half * 8 + row_of_half;
    if (!is_row(row)) return;
    float factors[kTileWarps], all_top = -INFINITY, all_sum = 0;
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) {
      all_top = fmaxf(all_top, shared.stats[tile * kTileWarps + w][row_of_half].x);
    }
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) {
      const float2 stats = shared.stats[tile * kTileWarps + w][row_of_half];
      factors[w] = exp2_approx(stats.x - finite(all_top));
      all_sum += stats.y * factors[w];
    }
    if (to != nullptr && columns == 0) {
      reinterpret_cast<float2*>(to + Size::kRows * kHeadSize)[row] = make_float2(all_top, all_sum);
    }
    const float whole = to != nullptr ? 1.0f : all_sum > 0 ? 1 / all_sum : 0.0f;
#pragma unroll
    for (int column = columns; column < kHeadSize; column += 64) {
      float4 total = make_float4(0, 0, 0, 0);
#pragma unroll
      for (int w = 0; w < kTileWarps; ++w) {
        const float4 x = *reinterpret_cast<const float4*>(
            shared.merge[tile * kTileWarps + w] + row_of_half * Size::kMergeStride + column);
        total.x += x.x * factors[w], total.y += x.y * factors[w];
        total.z += x.z * factors[w], total.w += x.w * factors[w];
      }
      if (to != nullptr) {
        *reinterpret_cast<float4*>(to + row * kHeadSize + column) = total;
      } else {
        *reinterpret_cast<uint2*>(out_row(row) + column) =
            make_uint2(pack_bf16(total.x * whole, total.y * whole),
                       pack_bf16(total.z * whole, total.w * whole));
      }
    }
  }

  /// Adds up the parts of a pair, in the order of the keys. A warp has a row, a lane kHeadSize / 32
  /// columns of it.
  __device__ void combine(int first, int last, int pair_begin) const {
    constexpr int kValues = kHeadSize / 32, kAtOnce = 8;  // parts whose loads do not wait
    const bool first_at_begin = shares.begin(first) == pair_begin;
    for (int row = threadIdx.x / 32; row < Size::kRows && is_row(row); row += Size::kWarps) {
      float highest = -INFINITY, total = 0, values[kValues] = {};
      for (int base = first; base <= last; base += kAtOnce) {
        float2 stats[kAtOnce], x[kAtOnce][kValues / 2];
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          const int share = min(base + i, last);
          const float* const from = partial(share, share != first || first_at_begin);
          stats[i] = __ldcg(reinterpret_cast<const float2*>(from + Size::kRows * kHeadSize) + row);
          if (base + i > last) stats[i].x = -INFINITY;
          const auto* const row_values =
              reinterpret_cast<const float2*>(from + row * kHeadSize + lane * kValues);
#pragma unroll
          for (int j = 0; j < kValues / 2; ++j) x[i][j] = __ldcg(row_values + j);
        }
        const float before = highest;
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) highest = fmaxf(highest, stats[i].x);
        const float rescale = exp2_approx(before - finite(highest));
        total *= rescale;
#pragma unroll
        for (int j = 0; j < kValues; ++j) values[j] *= rescale;
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          const float factor = exp2_approx(stats[i].x - finite(highest));
          total += stats[i].y * factor;
#pragma unroll
          for (int j = 0; j < kValues / 2; ++j) {
            values[2 * j] += x[i][j].x * factor;
            values[2 * j + 1] += x[i][j].y * factor;
          }
        }
      }
      const float factor = total > 0 ? 1 / total : 0.0f;
      auto* const result = reinterpret_cast<uint32_t*>(out_row(row) + lane * kValues);
#pragma unroll
      for (int i = 0; i < kValues; i += 2) {
        result[i / 2] = pack_bf16(values[i] * factor, values[i + 1] * factor);
      }
    }
  }
};

/// Writes zeros for pairs that have no key at all: those of nobody in a padded step, for one. One
/// warp of each CTA calls it.
template <int kRows>
__device__ void clear_empty_pairs(const Kernel& p, const PagedKeys& keys) {
  const int num_pairs = keys.num_sequences * keys.num_kv_heads;
  for (int pair = blockIdx.y * 32 + threadIdx.x % 32; pair < num_pairs; pair += gridDim.y * 32) {
    if (keys.starts[pair] != keys.starts[pair + 1]) continue;
    const PassSequence sequence = keys.sequences[pair / keys.num_kv_heads];
    const int first = blockIdx.x * kRows;
    for (int row = first; row < min(first + kRows, sequence.num_rows * p.group); ++row) {
      const int64_t token = sequence.first_row + row / p.group;
      const int head = pair % keys.num_kv_heads * p.group + row % p.group;
      auto* const to = reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(p.a.out) +
                                                (token * p.a.num_heads + head) * p.a.head_size);
      for (int i = 0; i < p.a.head_size / kChunkValues; ++i) to[i] = make_uint4(0, 0, 0, 0);
    }
  }
}

template <int kHeadSize, int kRowTiles>
__global__ void __launch_bounds__(Sizes<kHeadSize, kRowTiles>::kThreads,
                                  ctas_per_multiprocessor(kRowTiles))
    decode_kernel(const __grid_constant__ Kernel p) {
  using Size = Sizes<kHeadSize, kRowTiles>;
  extern __shared__ __align__(128) uint8_t memory[];
  auto& shared = *reinterpret_cast<Shared<kHeadSize, kRowTiles>*>(memory);
  if (threadIdx.x == 0) {
    for (int slot = 0; slot < Size::kSlots; ++slot) {
      barrier_init(&shared.full[slot], 1);
      barrier_init(&shared.empty[slot], Size::kWarps);
    }
    fence_barrier_init();
  }
  const PagedKeys keys = with_tables(p.a.keys, shared.tables);
  __syncthreads();
  const Shares shares(keys.starts, keys.num_sequences * keys.num_kv_heads, gridDim.y);
  const int share = blockIdx.y;
  const bool works = share < shares.count();
  if (threadIdx.x >= Size::kConsumers) {
    if (works) produce(keys, shared, shares.begin(share), shares.begin(share + 1));
    clear_empty_pairs<Size::kRows>(p, keys);
  } else if (works) {
    Consumer<kHeadSize, kRowTiles>(p, keys, shared, shares)
        .run(shares.begin(share), shares.begin(share + 1));
  }
}

template <int kHeadSize, int kRowTiles>
cudaError_t launch(const Kernel& kernel, const DecodeShape& shape, cudaStream_t stream) {
  constexpr int kBytes = sizeof(Shared<kHeadSize, kRowTiles>);
  static_assert(ctas_per_multiprocessor(kRowTiles) * (kBytes + 1024) <= 228 << 10);
  const auto function = decode_kernel<kHeadSize, kRowTiles>;
  const cudaError_t error =
      cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  // Row groups of one share run at the same time: the second one finds its keys in L2.
  const dim3 grid(shape.row_groups, shape.shares);
  function<<<grid, Sizes<kHeadSize, kRowTiles>::kThreads, kBytes, stream>>>(kernel);
  return cudaGetLastError();
}

}  // namespace

DecodeShape::DecodeShape(int64_t max_tokens, int group, int head_size, int num_multiprocessors) {
  const int64_t rows = max_tokens * group;
  row_tiles = rows > kDecodeRows ? 2 : 1;
  const int64_t cta_rows = row_tiles * kDecodeRows;
  row_groups = static_cast<int>((rows + cta_rows - 1) / cta_rows);
  const int ctas = ctas_per_multiprocessor(row_tiles) * num_multiprocessors;
  shares = (ctas + row_groups - 1) / row_groups;
  num_counters = int64_t{row_groups} * shares;
  num_partials = 2 * num_counters * cta_rows * (head_size + 2);
}

cudaError_t decode(const DecodeArguments& arguments, const DecodeShape& shape,
                   cudaStream_t stream) {
  if (shape.row_groups == 0 || arguments.keys.num_sequences == 0) return cudaSuccess;
  const Kernel kernel = {arguments, arguments.num_heads / arguments.keys.num_kv_heads,
                         arguments.scale * kLog2E};
  if (arguments.head_size == 64) {
    return shape.row_tiles == 1 ? launch<64, 1>(kernel, shape, stream)
                                : launch<64, 2>(kernel, shape, stream);
  }
  return shape.row_tiles == 1 ? launch<128, 1>(kernel, shape, stream)
                              : launch<128, 2>(kernel, shape, stream);
}

}  // namespace longgen::cuda
