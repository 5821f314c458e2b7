// The gradients of k and v: a CTA takes a pair of key blocks and walks over the query blocks that
// see them, one block of 64 rows a stage, with all query heads of the group. Each consumer
// warpgroup has one of the two key blocks and works with transposed scores (keys x queries), so
// that probabilities and their gradients stay in registers:
//   dv += p^T grad_out     dk += (p * (grad_out v^T - delta))^T q
// Long columns (sinks, strided blocks) come in pieces with fp32 partial sums, which a second kernel
// adds up in order.
#include "longgen/attention/cuda/backward.h"
#include "longgen/attention/cuda/query_tiles.cuh"
#include "longgen/attention/cuda/tensor_map.h"

namespace longgen::cuda {
namespace {

/// An item of work, and where the rows of its sequence lie.
struct KeyWork {
  KeyItem item;
  SequenceRows rows;
};

template <int kHeadSize>
struct Shared {
  using Bytes = TileBytes<kHeadSize>;
  static constexpr int kStages = kHeadSize == 64 ? 6 : 4;
  alignas(1024) uint8_t k[2][2][Bytes::kRows64];  // of this item and the next, of both blocks
  alignas(1024) uint8_t v[2][Bytes::kRows64];     // of this item: there is no room for two
  alignas(1024) uint8_t q[kStages][Bytes::kRows64];
  alignas(1024) uint8_t grad_out[kStages][Bytes::kRows64];
  alignas(16) float statistics[kStages][kStatisticsOfBlock];
  WorkQueue<KeyWork> queue;
  Gates<2> k_gates;
  Gates<1> v_gates;
  Gates<kStages, kConsumerThreads> gates;  // every thread reads the statistics

  __device__ __forceinline__ void init_barriers() {
    queue.init_barriers();
    k_gates.init();
    v_gates.init();
    gates.init();
  }
};

struct Arguments {
  QkvMaps maps;
  CUtensorMap grad_out_map;
  BackwardProblem problem;
};

template <int kHeadSize>
class Producer {
 public:
  __device__ Producer(const Arguments& arguments, Shared<kHeadSize>& s)
      : a_(arguments), p_(arguments.problem.attend), shared_(s) {}

  __device__ void run() {
    WorkQueue<KeyWork>::Place place;
    while (const KeyWork* const work = shared_.queue.wait(place)) {
      load_keys(*work);
      load_values_and_queries(*work);
      barrier_arrive(shared_.queue.empty(place));
      place.next();
    }
  }

 private:
  using Bytes = TileBytes<kHeadSize>;

  /// Fetches the two blocks of an item from k or v.
  __device__ __forceinline__ void load_pair(uint8_t (&to)[2][Bytes::kRows64],
                                            const CUtensorMap* map, uint64_t* full,
                                            const KeyWork& work) {
    for (int half = 0; half < 2; ++half) {
      const int block = work.item.blocks[half] < 0 ? work.item.blocks[0] : work.item.blocks[half];
      load_block<kHeadSize>(to[half], kBlockPanelBytes, map, full, work.item.kv_head,
                            block * kBlock + work.rows.key_shift);
    }
  }

  __device__ __forceinline__ void load_keys(const KeyWork& work) {
    load_pair(shared_.k[k_ring_.stage], &a_.maps.k,
              shared_.k_gates.open(k_ring_, 2 * Bytes::kRows64), work);
    k_ring_.next();
  }
  __device__ __forceinline__ void load_values(const KeyWork& work) {
    load_pair(shared_.v, &a_.maps.v, shared_.v_gates.open(v_ring_, 2 * Bytes::kRows64), work);
    v_ring_.next();
  }

  /// Stages become free before the place of the values does: those that are free then
  /// are filled first.
  __device__ __forceinline__ void load_values_and_queries(const KeyWork& work) {
    const int heads_per_group = p_.num_heads / p_.num_kv_heads;
    int ahead = Shared<kHeadSize>::kStages - 1;
    for (int head = work.item.kv_head * heads_per_group;
         head < (work.item.kv_head + 1) * heads_per_group; ++head) {
      for (int block = work.item.first_query; block < work.item.end_query; ++block) {
        if (ahead-- == 0) load_values(work);
        load_query_block(work.rows, head, block);
      }
    }
    if (ahead >= 0) load_values(work);
  }

  __device__ __forceinline__ void load_query_block(const SequenceRows& rows, int head, int block) {
    uint64_t* const full =
        shared_.gates.open(ring_, 2 * Bytes::kRows64 + kStatisticsOfBlock * sizeof(float));
    const int row = block * kBlock + rows.row_shift;
    load_block<kHeadSize>(shared_.q[ring_.stage], kBlockPanelBytes, &a_.maps.q, full, head, row);
    load_block<kHeadSize>(shared_.grad_out[ring_.stage], kBlockPanelBytes, &a_.grad_out_map, full,
                          head, row);
    const int64_t at = static_cast<int64_t>(head) * 2 * p_.num_tiles + rows.first_block + block;
    copy_bytes(shared_.statistics[ring_.stage], a_.problem.statistics + at * kStatisticsOfBlock,
               kStatisticsOfBlock * sizeof(float), full);
    ring_.next();
  }

  const Arguments& a_;
  const AttendProblem& p_;
  Shared<kHeadSize>& shared_;
  Ring<Shared<kHeadSize>::kStages> ring_;
  Ring<2> k_ring_;
  Ring<1> v_ring_;
};

/// Issues result (64 keys, 64 queries) = keys queries^T and does not wait for it.
template <int kHeadSize>
__device__ __forceinline__ void issue_keys_times_queries(float (&result)[32], const uint8_t* keys,
                                                         const uint8_t* queries) {
  wgmma_fence();
#pragma unroll
  for (int d = 0; d < kHeadSize; d += 16) {
    const int panel = d / kPanelColumns * kBlockPanelBytes, bytes = d % kPanelColumns * 2;
    wgmma_shared<kBlock>(result, advanced(descriptor_of_rows(keys + panel), bytes),
                         advanced(descriptor_of_rows(queries + panel), bytes), d > 0);
  }
  wgmma_commit();
}

/// Issues result (64 keys, D) += fragments (64 keys, 64 queries) rows (64 queries, D) and does not
/// wait for it.
template <int kHeadSize>
__device__ __forceinline__ void issue_fragments_times_rows(float (&result)[kHeadSize / 2],
                                                           const uint32_t (&fragments)[4][4],
                                                           const uint8_t* rows) {
  wgmma_fence();
#pragma unroll
  for (int query = 0; query < kBlock; query += 16) {
    wgmma_registers<kHeadSize>(
        result, fragments[query / 16],
        descriptor_of_columns(rows + query * kPanelRowBytes, kBlockPanelBytes), true);
  }
  wgmma_commit();
}

template <int kHeadSize>
struct Consumer : ConsumerThread {  // rows are keys
  const Arguments& a;
  Shared<kHeadSize>& shared;
  Ring<Shared<kHeadSize>::kStages> ring;
  Ring<2> k_ring;
  Ring<1> v_ring;
  uint64_t* in_use = nullptr;  // the barrier of a stage that products under way still read

  __device__ Consumer(const Arguments& arguments, Shared<kHeadSize>& s) : a(arguments), shared(s) {}

  /// The statistics of two neighbouring queries, from shared memory.
  __device__ __forceinline__ float2 statistic(int first, int i) const {
    return *reinterpret_cast<const float2*>(
        &shared.statistics[ring.stage][first + i / 4 * 8 + lane % 4 * 2]);
  }

  __device__ __forceinline__ void probabilities(float (&scores)[32], bool diagonal) const {
    const float scale = a.problem.attend.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 32; i += 4) {
      const float2 lse = statistic(0, i);
      scores[i] = exp2_approx(scores[i] * scale - lse.x);
      scores[i + 1] = exp2_approx(scores[i + 1] * scale - lse.y);
      scores[i + 2] = exp2_approx(scores[i + 2] * scale - lse.x);
      scores[i + 3] = exp2_approx(scores[i + 3] * scale - lse.y);
    }
    if (!diagonal) return;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const int query = i / 4 * 8 + lane % 4 * 2 + (i & 1), key = row + (i & 2) * 4;
      if (query < key) scores[i] = 0;
    }
  }

  /// Turns the gradients of the probabilities into those of the scores, in place. The probabilities
  /// come as fragments, which cost half the registers: rounded, as the other product sees them.
  __device__ __forceinline__ void gradients(float (&grad_p)[32], const uint32_t (&p)[4][4]) const {
#pragma unroll
    for (int i = 0; i < 32; i += 4) {
      const float2 delta = statistic(kBlock, i);
      const float2 upper = unpack_bf16(p[i / 8][i % 8 / 2]),
                   lower = unpack_bf16(p[i / 8][i % 8 / 2 + 1]);
      grad_p[i] = upper.x * (grad_p[i] - delta.x);
      grad_p[i + 1] = upper.y * (grad_p[i + 1] - delta.y);
      grad_p[i + 2] = lower.x * (grad_p[i + 2] - delta.x);
      grad_p[i + 3] = lower.y * (grad_p[i + 3] - delta.y);
    }
  }

  /// Waits for the products that read the stage `in_use`, and gives it back.
  __device__ __forceinline__ void settle(float (&grad_k)[kHeadSize / 2],
                                         float (&grad_v)[kHeadSize / 2]) {
    wgmma_wait<0>(grad_v);
    wgmma_wait<0>(grad_k);
    if (in_use != nullptr) barrier_arrive(in_use);
    in_use = nullptr;
  }

  /// Adds what one query block gives. Its last products are still under way at the end: they run
  /// beside the scores of the next one.
  __device__ __forceinline__ void query_block(bool diagonal, float (&grad_k)[kHeadSize / 2],
                                              float (&grad_v)[kHeadSize / 2]) {
    float scores[32], grad_p[32];
    uint32_t p[4][4], grad_s[4][4];
    issue_keys_times_queries<kHeadSize>(scores, shared.k[k_ring.stage][group],
                                        shared.q[ring.stage]);
    wgmma_wait<1>(grad_v);
    wgmma_wait<1>(grad_k);
    if (in_use != nullptr) barrier_arrive(in_use);
    shared.v_gates.wait(v_ring);
    issue_keys_times_queries<kHeadSize>(grad_p, shared.v[group], shared.grad_out[ring.stage]);
    wgmma_wait<1>(scores);
    probabilities(scores, diagonal);
    round_to_fragments<4>(scores, p);
    issue_fragments_times_rows<kHeadSize>(grad_v, p, shared.grad_out[ring.stage]);
    wgmma_wait<1>(grad_p);
    gradients(grad_p, p);
    round_to_fragments<4>(grad_p, grad_s);
    issue_fragments_times_rows<kHeadSize>(grad_k, grad_s, shared.q[ring.stage]);
    in_use = &shared.gates.empty[ring.stage];
  }

  __device__ void run() {
    WorkQueue<KeyWork>::Place place;
    while (const KeyWork* const item = shared.queue.wait(place)) {
      shared.k_gates.wait(k_ring);
      work(item->item, item->rows);
      barrier_arrive(shared.queue.empty(place));
      place.next();
    }
  }

  __device__ __forceinline__ void work(const KeyItem& item, const SequenceRows& rows) {
    const AttendProblem& problem = a.problem.attend;
    const int block = item.blocks[group];
    // The block is seen by its own queries and a window after them, or by all later ones: a look at
    // the pattern once.
    const BlockPattern& pattern = problem.pattern;
    const bool seen_by_all =
        block >= 0 && (block < pattern.sink_blocks || on_stride(pattern, block, item.kv_head));
    const int end = block < 0     ? 0
                    : seen_by_all ? item.end_query
                                  : min(item.end_query, block + pattern.window_blocks);
    // The warpgroups take the queries of one block by turns.
    const int turns = item.is_shared() ? 1 : 0;
    float grad_k[kHeadSize / 2], grad_v[kHeadSize / 2];
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; ++i) grad_k[i] = grad_v[i] = 0;
    for (int h = 0; h < problem.num_heads / problem.num_kv_heads; ++h) {
      for (int query = item.first_query; query < item.end_query; ++query) {
        shared.gates.wait(ring);
        if (query >= block && query < end && ((query - item.first_query - group) & turns) == 0) {
          query_block(query == block, grad_k, grad_v);
        } else {
          // The producer must not wait for a stage while this warpgroup waits for it.
          settle(grad_k, grad_v);
          barrier_arrive(&shared.gates.empty[ring.stage]);
        }
        ring.next();
      }
    }
    shared.v_gates.wait(v_ring);  // where this warpgroup saw nothing, too
    release(&shared.k_gates.empty[k_ring.stage]);
    k_ring.next();
    release(&shared.v_gates.empty[0]);
    v_ring.next();
    settle(grad_k, grad_v);
    if (item.slot >= 0) {
      store_partial(item, grad_k, grad_v);
    } else if (block >= 0) {
      store(item, rows, block, grad_k, grad_v);
    }
  }

  __device__ __forceinline__ void store(const KeyItem& item, const SequenceRows& rows, int block,
                                        const float (&grad_k)[kHeadSize / 2],
                                        const float (&grad_v)[kHeadSize / 2]) const {
    const AttendProblem& problem = a.problem.attend;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = block * kBlock + row + 8 * r;
      const int64_t at =
          (static_cast<int64_t>(position + rows.key_shift) * problem.num_kv_heads + item.kv_head) *
          kHeadSize;
      const bool wanted = position < rows.end;
      store_row<kHeadSize>(grad_k, r, problem.scale,
                           static_cast<__nv_bfloat16*>(a.problem.grad_k) + at, wanted);
      store_row<kHeadSize>(grad_v, r, 1.0f, static_cast<__nv_bfloat16*>(a.problem.grad_v) + at,
                           wanted);
    }
  }

  __device__ __forceinline__ void store_partial(const KeyItem& item,
                                                const float (&grad_k)[kHeadSize / 2],
                                                const float (&grad_v)[kHeadSize / 2]) const {
    float* const to =
        a.problem.partials + (static_cast<int64_t>(item.slot) * 2 + group) * 2 * kBlock * kHeadSize;
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; i += 2) {
      const int at = (row + (i & 2) * 4) * kHeadSize + i / 4 * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(to + at) = make_float2(grad_k[i], grad_k[i + 1]);
      *reinterpret_cast<float2*>(to + kBlock * kHeadSize + at) =
          make_float2(grad_v[i], grad_v[i + 1]);
    }
  }
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1)
    key_gradients_kernel(const __grid_constant__ Arguments a) {
  auto& shared = whole_shared<Shared<kHeadSize>>();
  const AttendProblem& problem = a.problem.attend;
  const auto make_work = [&] {
    shared.queue.fill(a.problem.num_items, problem.counters + 1, [&](int index) {
      const KeyItem item = a.problem.items[index];
      return KeyWork{item, problem.sequences[item.sequence]};
    });
  };
  run_warpgroups<24>(
      shared, [&] { Producer<kHeadSize>(a, shared).run(); }, make_work,
      [&] { Consumer<kHeadSize>(a, shared).run(); });
}

/// Adds up partial sums: a thread block has 8 rows of a key block.
template <int kHeadSize>
__global__ void __launch_bounds__(kHeadSize)
    sum_kernel(const __grid_constant__ BackwardProblem problem) {
  const AttendProblem& p = problem.attend;
  const KeySum sum = problem.sums[blockIdx.x];
  const SequenceRows rows = p.sequences[sum.sequence];
  for (int r = 0; r < 8; ++r) {
    const int row = blockIdx.y * 8 + r, position = sum.block * kBlock + row;
    if (position >= rows.end) return;
    float grad_k = 0, grad_v = 0;
    for (int i = 0; i < sum.num_partials; ++i) {
      const int64_t partial = sum.first_partial + static_cast<int64_t>(i) * sum.step;
      const float* const from =
          problem.partials + partial * 2 * kBlock * kHeadSize + row * kHeadSize + threadIdx.x;
      grad_k += from[0];
      grad_v += from[kBlock * kHeadSize];
    }
    const int64_t at =
        (static_cast<int64_t>(position + rows.key_shift) * p.num_kv_heads + sum.kv_head) *
            kHeadSize +
        threadIdx.x;
    static_cast<__nv_bfloat16*>(problem.grad_k)[at] = __float2bfloat16(grad_k * p.scale);
    static_cast<__nv_bfloat16*>(problem.grad_v)[at] = __float2bfloat16(grad_v);
  }
}

template <int kHeadSize>
cudaError_t launch(const BackwardProblem& problem, cudaStream_t stream) {
  const AttendProblem& p = problem.attend;
  Arguments a = {};
  a.problem = problem;
  for (const cudaError_t error :
       {make_tensor_maps(p, a.maps), make_tensor_map(problem.grad_out, p.num_rows, p.num_heads,
                                                     kHeadSize, kBlock, a.grad_out_map)}) {
    if (error != cudaSuccess) return error;
  }
  const cudaError_t error = launch_persistent<Shared<kHeadSize>>(
      key_gradients_kernel<kHeadSize>, a, problem.num_items, kThreads, stream);
  if (error != cudaSuccess || problem.num_sums == 0) return error;
  sum_kernel<kHeadSize><<<dim3(problem.num_sums, kBlock / 8), kHeadSize, 0, stream>>>(problem);
  return cudaGetLastError();
}

}  // namespace

cudaError_t key_gradients(const BackwardProblem& problem, cudaStream_t stream) {
  return problem.attend.head_size == 64 ? launch<64>(problem, stream)
                                        : launch<128>(problem, stream);
}

}  // namespace longgen::cuda
