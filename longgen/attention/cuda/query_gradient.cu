// The gradient of q, and the statistics of its rows that key_gradients.cu reads. Tiles, stages and warpgroups are those of the
// forward pass: for every 128 keys, dq += (p * (grad_out v^T - delta)) k with p = exp(scores - LSE) and delta = the sum over
// the head of grad_out * out.
#include "longgen/attention/cuda/backward.h"
#include "longgen/attention/cuda/launch.cuh"
#include "longgen/attention/cuda/query_tiles.cuh"
#include "longgen/attention/cuda/tensor_map.h"

namespace longgen::cuda {
namespace {

constexpr float kLog2E = 1.4426950408889634f;

template <int kHeadSize>
struct Shared {
  using Bytes = TileBytes<kHeadSize>;
  static constexpr int kStages = kHeadSize == 64 ? 4 : 2;
  alignas(1024) uint8_t q[2][Bytes::kRows64];
  alignas(1024) uint8_t grad_out[2][Bytes::kRows64];
  alignas(1024) uint8_t out[2][Bytes::kRows64];
  alignas(1024) uint8_t k[kStages][Bytes::kStage];
  alignas(1024) uint8_t v[kStages][Bytes::kStage];
  Work work[2];  // of this tile and the next; made by the producer, so that it takes no registers of the consumers
  uint64_t q_full, q_empty;
  uint64_t k_full[kStages], k_empty[kStages];
  uint64_t v_full[kStages], v_empty[kStages];
};

struct Arguments {
  CUtensorMap q_map, k_map, v_map, grad_out_map, out_map;
  BackwardProblem problem;
};

template <int kHeadSize>
__device__ void produce(const Arguments& a, Shared<kHeadSize>& shared) {
  const AttendProblem& problem = a.problem.attend;
  const int num_items = problem.num_tiles * problem.num_heads;
  Ring<Shared<kHeadSize>::kStages> ring;
  uint32_t q_phase = 0;
  for (int item = blockIdx.x;;) {
    barrier_wait(&shared.q_empty, q_phase ^ 1);
    if (item >= num_items) {
      shared.work[q_phase].head = -1;  // no more
      barrier_arrive(&shared.q_full);
      return;
    }
    const Work work = Work::of(problem, item);
    shared.work[q_phase] = work;
    q_phase ^= 1;
    barrier_expect(&shared.q_full, 6 * TileBytes<kHeadSize>::kRows64);
    load_query_rows<kHeadSize>(shared.q, &a.q_map, &shared.q_full, work);
    load_query_rows<kHeadSize>(shared.grad_out, &a.grad_out_map, &shared.q_full, work);
    load_query_rows<kHeadSize>(shared.out, &a.out_map, &shared.q_full, work);
    item = take_item(problem.counters);
    for (int step = 0; step < work.num_steps(); ++step) {
      barrier_wait(&shared.k_empty[ring.stage], ring.phase ^ 1);
      load_keys<kHeadSize>(shared.k[ring.stage], &a.k_map, &shared.k_full[ring.stage], work, step);
      barrier_wait(&shared.v_empty[ring.stage], ring.phase ^ 1);
      load_keys<kHeadSize>(shared.v[ring.stage], &a.v_map, &shared.v_full[ring.stage], work, step);
      ring.next();
    }
  }
}

/// The sum of a[i] * b[i] over eight bf16.
__device__ __forceinline__ float dot_of_chunk(const uint4& a, const uint4& b) {
  const auto* const x = reinterpret_cast<const __nv_bfloat162*>(&a);
  const auto* const y = reinterpret_cast<const __nv_bfloat162*>(&b);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 u = __bfloat1622float2(x[i]), v = __bfloat1622float2(y[i]);
    sum += u.x * v.x + u.y * v.y;
  }
  return sum;
}

template <int kHeadSize>
struct Consumer {
  static constexpr int kStages = Shared<kHeadSize>::kStages;
  const Arguments& a;
  Shared<kHeadSize>& shared;
  const int group, lane, row;  // row: of the thread, within its 64
  Ring<kStages> k_ring, v_ring;
  uint32_t q_phase = 0;

  __device__ Consumer(const Arguments& arguments, Shared<kHeadSize>& s)
      : a(arguments),
        shared(s),
        group(static_cast<int>(threadIdx.x) / 128 - 1),
        lane(threadIdx.x % 32),
        row(threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4) {}

  __device__ __forceinline__ void release(uint64_t* empty) const {
    if (lane == 0) barrier_arrive(empty);
  }
  __device__ __forceinline__ void issue_scores(float (&scores)[64]) {
    barrier_wait(&shared.k_full[k_ring.stage], k_ring.phase);
    issue_rows_times_keys<kHeadSize>(scores, shared.q[group], shared.k[k_ring.stage]);
  }
  __device__ __forceinline__ void issue_grad_p(float (&grad_p)[64]) {
    barrier_wait(&shared.v_full[v_ring.stage], v_ring.phase);
    issue_rows_times_keys<kHeadSize>(grad_p, shared.grad_out[group], shared.v[v_ring.stage]);
  }

  /// The probabilities, in place of the scores.
  __device__ __forceinline__ void probabilities(float (&scores)[64], const float (&lse)[2], const Work& work, int step) const {
    const float scale = a.problem.attend.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 64; ++i) scores[i] = exp2_approx(scores[i] * scale - lse[(i >> 1) & 1]);
    StepViews(a.problem.attend.pattern, work, group, step).mask<2>(scores, row, 0.0f);
  }

  /// delta of the thread's two rows. Two threads make a row's; a warp's 16 rows are those that its threads need.
  __device__ __forceinline__ void make_delta(float (&delta)[2]) const {
    constexpr int kChunks = kHeadSize / 16;  // of 8 values, for each of the two threads
    const int from_row = threadIdx.x % 128 / 2, first = threadIdx.x % 2 * kChunks;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int chunk = first + i;
      const int at = chunk / 8 * kBlockPanelBytes + from_row * kPanelRowBytes + ((chunk ^ from_row) % 8) * 16;
      sum += dot_of_chunk(*reinterpret_cast<const uint4*>(shared.grad_out[group] + at),
                          *reinterpret_cast<const uint4*>(shared.out[group] + at));
    }
    sum += __shfl_xor_sync(0xffffffff, sum, 1);
#pragma unroll
    for (int r = 0; r < 2; ++r) delta[r] = __shfl_sync(0xffffffff, sum, 2 * (lane / 4) + 16 * r);
  }

  /// The LSE in units of log2; +inf for rows without a key and rows that are not in the sequence.
  __device__ __forceinline__ void load_lse(const Work& work, float (&lse)[2]) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = work.position + group * kBlock + row + 8 * r;
      lse[r] = INFINITY;
      if (position < work.rows.begin || position >= work.rows.end) continue;
      const float known = a.problem.lse[work.head * a.problem.attend.num_rows + position + work.rows.row_shift];
      if (known != -INFINITY) lse[r] = known * kLog2E;
    }
  }

  __device__ __forceinline__ void store_statistics(const Work& work, const float (&lse)[2], const float (&delta)[2]) const {
    if (lane % 4 != 0) return;
    const int64_t block = work.rows.first_block + work.position / kBlock + group;
    float* const stats = a.problem.statistics +
                         (static_cast<int64_t>(work.head) * 2 * a.problem.attend.num_tiles + block) * kStatisticsOfBlock;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      stats[row + 8 * r] = lse[r];
      stats[kBlock + row + 8 * r] = lse[r] == INFINITY ? 0.0f : delta[r];
    }
  }

  __device__ void run() {
    while (true) {
      barrier_wait(&shared.q_full, q_phase);
      const Work& work = shared.work[q_phase];
      if (work.head < 0) return;
      tile(work);
    }
  }

  __device__ __forceinline__ void tile(const Work& work) {
    const AttendProblem& problem = a.problem.attend;
    const int steps = work.num_steps();
    float lse[2], delta[2];
    load_lse(work, lse);
    make_delta(delta);
    store_statistics(work, lse, delta);
    float scores[64], grad_p[64], grad_q[kHeadSize / 2];
    uint32_t fragments[8][4];
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; ++i) grad_q[i] = 0;

    uint64_t* k_in_use = nullptr;  // of the product that adds to grad_q
    for (int step = 0; step < steps; ++step) {
      issue_scores(scores);
      wgmma_wait<1>(grad_q);
      if (k_in_use != nullptr) release(k_in_use);
      issue_grad_p(grad_p);
      wgmma_wait<1>(scores);
      probabilities(scores, lse, work, step);
      wgmma_wait<0>(grad_p);
      release(&shared.v_empty[v_ring.stage]);
      v_ring.next();
#pragma unroll
      for (int i = 0; i < 64; ++i) scores[i] *= grad_p[i] - delta[(i >> 1) & 1];
      round_to_fragments<8>(scores, fragments);
      issue_fragments_times_values<kHeadSize>(grad_q, fragments, shared.k[k_ring.stage]);
      k_in_use = &shared.k_empty[k_ring.stage];
      k_ring.next();
    }
    release(&shared.q_empty);
    wgmma_wait<0>(grad_q);
    release(k_in_use);
    q_phase ^= 1;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = work.position + group * kBlock + row + 8 * r;
      const int64_t out_row = position + work.rows.row_shift;
      auto* to = static_cast<__nv_bfloat16*>(a.problem.grad_q) + (out_row * problem.num_heads + work.head) * kHeadSize;
      store_row<kHeadSize>(grad_q, r, problem.scale, to, position >= work.rows.begin && position < work.rows.end);
    }
  }
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1) query_gradient_kernel(const __grid_constant__ Arguments a) {
  extern __shared__ uint8_t memory[];
  auto& shared = aligned_shared<Shared<kHeadSize>>(memory);
  if (threadIdx.x == 0) {
    barrier_init(&shared.q_full, 1);
    barrier_init(&shared.q_empty, kConsumerWarps);
    for (int stage = 0; stage < Shared<kHeadSize>::kStages; ++stage) {
      barrier_init(&shared.k_full[stage], 1);
      barrier_init(&shared.k_empty[stage], kConsumerWarps);
      barrier_init(&shared.v_full[stage], 1);
      barrier_init(&shared.v_empty[stage], kConsumerWarps);
    }
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    give_up_registers<24>();
    if (threadIdx.x < 32 && elect_one()) produce<kHeadSize>(a, shared);
  } else {
    take_registers<240>();
    Consumer<kHeadSize>(a, shared).run();
  }
}

template <int kHeadSize>
cudaError_t launch_query_gradient(const BackwardProblem& problem, cudaStream_t stream) {
  const AttendProblem& p = problem.attend;
  Arguments a = {};
  a.problem = problem;
  for (const cudaError_t error : {make_tensor_map(p.q, p.num_rows, p.num_heads, kHeadSize, kBlock, a.q_map),
                                  make_tensor_map(p.k, p.num_keys, p.num_kv_heads, kHeadSize, kBlock, a.k_map),
                                  make_tensor_map(p.v, p.num_keys, p.num_kv_heads, kHeadSize, kBlock, a.v_map),
                                  make_tensor_map(problem.grad_out, p.num_rows, p.num_heads, kHeadSize, kBlock,
                                                  a.grad_out_map),
                                  make_tensor_map(problem.out, p.num_rows, p.num_heads, kHeadSize, kBlock, a.out_map)}) {
    if (error != cudaSuccess) return error;
  }
  return launch_persistent<Shared<kHeadSize>>(query_gradient_kernel<kHeadSize>, a, p.num_tiles * p.num_heads, kThreads, stream);
}

}  // namespace

cudaError_t query_gradient(const BackwardProblem& problem, cudaStream_t stream) {
  return problem.attend.head_size == 64 ? launch_query_gradient<64>(problem, stream)
                                        : launch_query_gradient<128>(problem, stream);
}

cudaError_t attend_backward(const BackwardProblem& problem, cudaStream_t stream) {
  const cudaError_t error = query_gradient(problem, stream);
  return error == cudaSuccess ? key_gradients(problem, stream) : error;
}

}  // namespace longgen::cuda
