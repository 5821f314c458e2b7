// Attention of few query tokens to the pages of a KV cache: reading the pages is what takes time.
// A producer warp copies K and V of one block after the other into a ring of shared memory. The
// rows of a CTA are the query tokens of a sequence times the query heads of a KV head, in one or
// two tiles of 16. Of each tile, four consumer warps take 16 keys of every block each, with a
// maximum, a sum and an output of their own, which are merged at the end of the pair. A pair
// (sequence, KV head) that several CTAs share (share.cuh) is added up by the one that finishes
// last, in order of the keys.
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

/// Registers for two CTAs of one tile on a multiprocessor, or for one CTA of two.
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
};

template <int kHeadSize, int kRowTiles>
struct Shared {
  using Size = Sizes<kHeadSize, kRowTiles>;
  alignas(128) uint8_t ring[Size::kSlots][Size::kSideBytes];  // K, V, K, V, ...
  alignas(128) uint8_t q[Size::kRows * kHeadSize * 2];        // panels of kRows rows
  alignas(128) float merge[kRowTiles][2][kDecodeRows * kHeadSize];
  float2 stats[Size::kWarps][kDecodeRows];  // maximum and sum
  uint64_t full[Size::kSlots], empty[Size::kSlots];
  PassBlock blocks[Size::kSlots];  // what the ring holds
  int is_last;
};

/// Adds 1. What this thread saw before is seen by whoever adds later and sees the sum.
__device__ __forceinline__ int add_in_order(int* counter) {
  int before;
  asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}

template <int kHeadSize, int kRowTiles>
__device__ __forceinline__ void produce(const PagedKeys& keys, Shared<kHeadSize, kRowTiles>& shared,
                                        int begin, int end) {
  using Size = Sizes<kHeadSize, kRowTiles>;
  const int lane = threadIdx.x % 32;
  Ring<Size::kSlots> slot;
  PassBlock next = {};
  if (begin + lane < end) next = keys.blocks[begin + lane];
  for (int base = begin; base < end; base += 32) {
    const PassBlock mine = next;
    if (base + 32 + lane < end) next = keys.blocks[base + 32 + lane];
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
  Shared<kHeadSize, kRowTiles>& shared;
  const Shares& shares;
  Ring<Size::kSlots> slot;

  // Of the pair at work.
  PassSequence sequence;
  int kv_head;

  __device__ Consumer(const Kernel& kernel, Shared<kHeadSize, kRowTiles>& memory, const Shares& s)
      : p(kernel), shared(memory), shares(s) {}

  __device__ __forceinline__ void sync() const {
    named_barrier_sync(kConsumerBarrier, Size::kConsumers);
  }

  /// Row of the pair: of all query tokens times query heads.
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
    const int num_pairs = p.a.keys.num_sequences * p.a.keys.num_kv_heads;
    for (int pair = pair_of(p.a.keys.starts, num_pairs, begin); begin < end; ++pair) {
      const int pair_begin = p.a.keys.starts[pair], pair_end = p.a.keys.starts[pair + 1];
      const int segment_end = min(end, pair_end);
      if (begin >= segment_end) continue;  // a pair without keys
      start(pair);
      for (int block = begin; block < segment_end; ++block) step();
      finish(pair_begin, pair_end, begin, segment_end);
      begin = segment_end;
    }
  }

  __device__ __forceinline__ void start(int pair) {
    sequence = p.a.keys.sequences[pair / p.a.keys.num_kv_heads];
    kv_head = pair % p.a.keys.num_kv_heads;
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
  }

  __device__ __forceinline__ void release() {
    __syncwarp();
    if (lane == 0) barrier_arrive(&shared.empty[slot.stage]);
    slot.next();
  }

  /// One block of keys, of which this warp takes 16.
  __device__ __forceinline__ void step() {
    barrier_wait(&shared.full[slot.stage], slot.phase);
    const PassBlock block = shared.blocks[slot.stage];
    float scores[2][4] = {};
    this->multiply_keys(scores, shared_address(shared.q), shared_address(shared.ring[slot.stage]));
    release();
    this->mask(scores, block, p.a.keys.window_blocks, p.scale_log2);
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

  /// Adds the results of a tile's warps; the first one stores them, as the result or (`to`) as a
  /// part.
  __device__ __forceinline__ void merge(float* to) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float s = quad_sum(sum[half]);
      if (lane % 4 == 0) {
        shared.stats[threadIdx.x / 32][half * 8 + lane / 4] = make_float2(top[half], s);
      }
    }
    sync();
    float all_top[2], all_sum[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto stats_of_warp = [&](int w) {
        return shared.stats[tile * kTileWarps + w][half * 8 + lane / 4];
      };
      all_top[half] = -INFINITY;
      all_sum[half] = 0;
#pragma unroll
      for (int w = 0; w < kTileWarps; ++w) {
        all_top[half] = fmaxf(all_top[half], stats_of_warp(w).x);
      }
      const float base = finite(all_top[half]);
#pragma unroll
      for (int w = 0; w < kTileWarps; ++w) {
        const float2 stats = stats_of_warp(w);
        all_sum[half] += stats.y * exp2_approx(stats.x - base);
      }
      this->rescale(half, exp2_approx(top[half] - base));
    }
    add_from_warps();
    if (quarter == 0) store(all_top, all_sum, to);
  }

  /// out of the tile's warps 0 to 3: (0 + 2) + (1 + 3), in warp 0.
  __device__ __forceinline__ void add_from_warps() {
    float4* const buffer = reinterpret_cast<float4*>(shared.merge[tile][quarter % 2]);
    const auto put = [&] {
#pragma unroll
      for (int c = 0; c < Size::kColumnGroups; ++c) {
        const auto& x = out[c];
        buffer[c * 32 + lane] = make_float4(x[0], x[1], x[2], x[3]);
      }
    };
    const auto add = [&](const float4* from) {
#pragma unroll
      for (int c = 0; c < Size::kColumnGroups; ++c) {
        const float4 x = from[c * 32 + lane];
        out[c][0] += x.x, out[c][1] += x.y;
        out[c][2] += x.z, out[c][3] += x.w;
      }
    };
    if (quarter >= 2) put();
    sync();
    if (quarter < 2) add(buffer);
    if (quarter == 1) put();
    sync();
    if (quarter == 0) add(reinterpret_cast<const float4*>(shared.merge[tile][1]));
  }

  __device__ __forceinline__ void store(const float (&all_top)[2], const float (&all_sum)[2],
                                        float* to) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = lane_row(half);
      if (!is_row(row)) continue;
      if (to != nullptr) {
        if (lane % 4 == 0) {
          reinterpret_cast<float2*>(to + Size::kRows * kHeadSize)[row] =
              make_float2(all_top[half], all_sum[half]);
        }
#pragma unroll
        for (int c = 0; c < Size::kColumnGroups; ++c) {
          *reinterpret_cast<float2*>(to + row * kHeadSize + c * 8 + lane % 4 * 2) =
              make_float2(out[c][2 * half], out[c][2 * half + 1]);
        }
        continue;
      }
      const float factor = all_sum[half] > 0 ? 1 / all_sum[half] : 0.0f;
      auto* const result = reinterpret_cast<uint32_t*>(out_row(row));
#pragma unroll
      for (int c = 0; c < Size::kColumnGroups; ++c) {
        result[c * 4 + lane % 4] =
            pack_bf16(out[c][2 * half] * factor, out[c][2 * half + 1] * factor);
      }
    }
  }

  /// The parts of a pair, in order of the keys. A warp for each row, a lane for kHeadSize / 32
  /// columns.
  __device__ void combine(int first, int last, int pair_begin) const {
    constexpr int kValues = kHeadSize / 32;
    const bool first_at_begin = shares.begin(first) == pair_begin;
    for (int row = threadIdx.x / 32; row < Size::kRows && is_row(row); row += Size::kWarps) {
      float highest = -INFINITY;
      for (int share = first + lane; share <= last; share += 32) {
        highest = fmaxf(highest, stats_of(share, share != first || first_at_begin, row).x);
      }
#pragma unroll
      for (int i = 16; i > 0; i /= 2) {
        highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, i));
      }
      const float base = finite(highest);
      float total = 0, values[kValues] = {};
#pragma unroll 8
      for (int share = first; share <= last; ++share) {
        const bool at_begin = share != first || first_at_begin;
        const float2 stats = stats_of(share, at_begin, row);
        const float* const from = partial(share, at_begin) + row * kHeadSize + lane * kValues;
        const float factor = exp2_approx(stats.x - base);
        total += stats.y * factor;
#pragma unroll
        for (int i = 0; i < kValues; i += 2) {
          const float2 x = __ldcg(reinterpret_cast<const float2*>(from + i));
          values[i] += x.x * factor;
          values[i + 1] += x.y * factor;
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
  __device__ __forceinline__ float2 stats_of(int share, bool at_begin, int row) const {
    const float* const stats = partial(share, at_begin) + Size::kRows * kHeadSize;
    return __ldcg(reinterpret_cast<const float2*>(stats) + row);
  }
};

/// Zeros for pairs that have no key at all.
template <int kRows, int kConsumers>
__device__ void clear_empty_pairs(const Kernel& p) {
  const PagedKeys& keys = p.a.keys;
  const int num_pairs = keys.num_sequences * keys.num_kv_heads;
  for (int pair = blockIdx.y * kConsumers + threadIdx.x; pair < num_pairs;
       pair += gridDim.y * kConsumers) {
    if (keys.starts[pair] != keys.starts[pair + 1]) continue;
    const PassSequence sequence = keys.sequences[pair / keys.num_kv_heads];
    const int first = blockIdx.x * kRows;
    for (int row = first; row < min(first + kRows, sequence.num_rows * p.group); ++row) {
      const int64_t token = sequence.first_row + row / p.group;
      const int head = pair % keys.num_kv_heads * p.group + row % p.group;
      auto* const to =
          static_cast<__nv_bfloat16*>(p.a.out) + (token * p.a.num_heads + head) * p.a.head_size;
      for (int i = 0; i < p.a.head_size; ++i) to[i] = __nv_bfloat16(0.0f);
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
  __syncthreads();
  const int num_pairs = p.a.keys.num_sequences * p.a.keys.num_kv_heads;
  const Shares shares(p.a.keys.starts, num_pairs, gridDim.y);
  const int share = blockIdx.y;
  const bool works = share < shares.count();
  if (threadIdx.x >= Size::kConsumers) {
    if (works) produce(p.a.keys, shared, shares.begin(share), shares.begin(share + 1));
    return;
  }
  if (works) {
    Consumer<kHeadSize, kRowTiles>(p, shared, shares)
        .run(shares.begin(share), shares.begin(share + 1));
  }
  clear_empty_pairs<Size::kRows, Size::kConsumers>(p);
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
