// The gradient of q, and the statistics of its rows that key_gradients.cu reads. Tiles, stages and
// warpgroups are those of the forward pass: for every 128 keys, dq += (p * (grad_out v^T - delta))
// k with p = exp(scores - LSE) and delta = the sum over the head of grad_out * out.
#include "longgen/attention/cuda/backward.h"
#include "longgen/attention/cuda/query_tiles.cuh"
#include "longgen/attention/cuda/tensor_map.h"

namespace longgen::cuda {
namespace {

/// The rows of `out`, which are needed once, come in a stage of K.
template <int kHeadSize>
struct Shared : TileStages<kHeadSize, 1, kHeadSize == 64 ? 5 : 3, kHeadSize == 64 ? 4 : 2> {
  alignas(1024) uint8_t q[2][TileBytes<kHeadSize>::kRows64];
  alignas(1024) uint8_t grad_out[2][TileBytes<kHeadSize>::kRows64];
};

struct Arguments {
  QkvMaps maps;
  CUtensorMap grad_out_map, out_map;
  BackwardProblem problem;
};

/// Fetches what a tile needs beside keys and values for the TileProducer: the rows of q and
/// grad_out, then those of `out`.
template <int kHeadSize>
struct Rows {
  static constexpr int kBytes = 2 * TileBytes<kHeadSize>::kRows64;
  static constexpr bool kHasMore = true;
  const Arguments& a;
  Shared<kHeadSize>& shared;

  __device__ __forceinline__ void load(const Work& work, int group, int, uint64_t* full) const {
    load_query_rows<kHeadSize>(shared.q[group], &a.maps.q, full, work, group);
    load_query_rows<kHeadSize>(shared.grad_out[group], &a.grad_out_map, full, work, group);
  }
  __device__ __forceinline__ void load_more(const Work& work, uint8_t* to, uint64_t* full) const {
    for (int group = 0; group < 2; ++group) {
      load_query_rows<kHeadSize>(to + group * TileBytes<kHeadSize>::kRows64, &a.out_map, full, work,
                                 group);
    }
  }
};

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
struct Consumer : ConsumerThread {
  const Arguments& a;
  Shared<kHeadSize>& shared;
  Ring<Shared<kHeadSize>::kStagesOfK> k_ring;
  Ring<Shared<kHeadSize>::kStagesOfV> v_ring;
  Ring<1> rows_ring;
  int k_in_use = -1;  // the stage of K that the product adding to grad_q still reads

  __device__ Consumer(const Arguments& arguments, Shared<kHeadSize>& s) : a(arguments), shared(s) {}

  __device__ __forceinline__ StepViews views(const Work& work, int step) const {
    return StepViews(a.problem.attend.pattern, work, group, step);
  }

  template <int kBlocks>
  __device__ __forceinline__ void issue_scores(float (&scores)[32 * kBlocks]) {
    shared.k_gates.wait(k_ring);
    issue_rows_times_keys<kHeadSize, kBlocks>(scores, shared.q[group], shared.k[k_ring.stage]);
  }
  template <int kBlocks>
  __device__ __forceinline__ void issue_grad_p(float (&grad_p)[32 * kBlocks]) {
    shared.v_gates.wait(v_ring);
    issue_rows_times_keys<kHeadSize, kBlocks>(grad_p, shared.grad_out[group],
                                              shared.v[v_ring.stage]);
  }

  /// Turns scores into probabilities, in place.
  template <int kBlocks>
  __device__ __forceinline__ void probabilities(float (&scores)[32 * kBlocks],
                                                const float (&lse)[2], const Work& work,
                                                int step) const {
    const float scale = a.problem.attend.scale * kLog2E;
#pragma unroll
    for (int i = 0; i < 32 * kBlocks; ++i)
      scores[i] = exp2_approx(scores[i] * scale - lse[(i >> 1) & 1]);
    if (!work.sees_all(step)) views(work, step).template mask<kBlocks>(scores, row, 0.0f);
  }

  /// Makes delta of the thread's two rows from the warpgroup's rows of `out`. Two threads make that
  /// of a row; the 16 rows of a warp are those that its threads need.
  __device__ __forceinline__ void make_delta(const uint8_t* out, float (&delta)[2]) const {
    constexpr int kChunks = kHeadSize / 16;  // of 8 values, for each of the two threads
    const int from_row = threadIdx.x % 128 / 2, first = threadIdx.x % 2 * kChunks;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int chunk = first + i;
      const int at =
          chunk / 8 * kBlockPanelBytes + from_row * kPanelRowBytes + ((chunk ^ from_row) % 8) * 16;
      sum += dot_of_chunk(*reinterpret_cast<const uint4*>(shared.grad_out[group] + at),
                          *reinterpret_cast<const uint4*>(out + at));
    }
    sum += __shfl_xor_sync(0xffffffff, sum, 1);
#pragma unroll
    for (int r = 0; r < 2; ++r) delta[r] = __shfl_sync(0xffffffff, sum, 2 * (lane / 4) + 16 * r);
  }

  /// Reads the LSE; it is -inf for rows without a key and for rows that are not in the sequence.
  __device__ __forceinline__ void load_lse(const Work& work, float (&lse)[2]) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = work.position + group * kBlock + row + 8 * r;
      const bool is_row = position >= work.rows.begin && position < work.rows.end;
      const float* const all = a.problem.lse;
      lse[r] = is_row ? all[work.head * a.problem.attend.num_rows + position + work.rows.row_shift]
                      : -INFINITY;
    }
  }
  /// Turns the LSE into units of log2, and -inf into +inf, which makes every probability 0.
  __device__ __forceinline__ static void finish_lse(float (&lse)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) lse[r] = lse[r] == -INFINITY ? INFINITY : lse[r] * kLog2E;
  }

  __device__ __forceinline__ void store_statistics(const Work& work, const float (&lse)[2],
                                                   const float (&delta)[2]) const {
    if (lane % 4 != 0) return;
    const int64_t block = work.rows.first_block + work.position / kBlock + group;
    float* const stats =
        a.problem.statistics +
        (static_cast<int64_t>(work.head) * 2 * a.problem.attend.num_tiles + block) *
            kStatisticsOfBlock;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      stats[row + 8 * r] = lse[r];
      stats[kBlock + row + 8 * r] = lse[r] == INFINITY ? 0.0f : delta[r];
    }
  }

  /// What a consumer holds of a tile in registers.
  struct State {
    float grad_q[kHeadSize / 2];
    float lse[2], delta[2];
  };

  /// Adds what a step gives, of both blocks or of the second one alone. Its last product, which
  /// adds to grad_q, is still under way at the end.
  template <int kBlocks>
  __device__ __forceinline__ void one_step(State& s, const Work& work, int step) {
    float scores[32 * kBlocks], grad_p[32 * kBlocks];
    issue_scores<kBlocks>(scores);
    settle<1>(s.grad_q);
    issue_grad_p<kBlocks>(grad_p);
    wgmma_wait<1>(scores);
    probabilities<kBlocks>(scores, s.lse, work, step);
    wgmma_wait<0>(grad_p);
    release(&shared.v_gates.empty[v_ring.stage]);
    v_ring.next();
#pragma unroll
    for (int i = 0; i < 32 * kBlocks; ++i) scores[i] *= grad_p[i] - s.delta[(i >> 1) & 1];
    uint32_t fragments[4 * kBlocks][4];
    round_to_fragments<4 * kBlocks>(scores, fragments);
    issue_fragments_times_values<kHeadSize, kBlocks>(s.grad_q, fragments, shared.k[k_ring.stage]);
    k_in_use = k_ring.stage;
    k_ring.next();
  }

  /// Waits for the product that adds to grad_q; kLater others were issued after it.
  template <int kLater>
  __device__ __forceinline__ void settle(float (&grad_q)[kHeadSize / 2]) {
    wgmma_wait<kLater>(grad_q);
    if (k_in_use >= 0) release(&shared.k_gates.empty[k_in_use]);
    k_in_use = -1;
  }

  __device__ void run() {
    typename WorkQueue<Work>::Place place;
    while (const Work* const work = shared.queue.wait(place)) {
      tile(*work);
      barrier_arrive(shared.queue.empty(place));
      place.next();
    }
  }

  __device__ __forceinline__ void tile(const Work& work) {
    const int steps = work.num_steps();
    State s;
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; ++i) s.grad_q[i] = 0;
    load_lse(work, s.lse);
    shared.rows_gates[group].wait(rows_ring);
    shared.k_gates.wait(k_ring);
    make_delta(shared.k[k_ring.stage] + group * TileBytes<kHeadSize>::kRows64, s.delta);
    release_read(&shared.k_gates.empty[k_ring.stage]);
    k_ring.next();
    finish_lse(s.lse);
    store_statistics(work, s.lse, s.delta);
    // A half step may come last.
    const int end = steps - (views(work, steps - 1).is_half() ? 1 : 0);
    int step = 0;
    for (; step < end; ++step) one_step<2>(s, work, step);
    settle<0>(s.grad_q);
    if (step < steps) one_step<1>(s, work, step);
    release_read(&shared.rows_gates[group].empty[0]);
    rows_ring.next();
    settle<0>(s.grad_q);
    store(work, s.grad_q);
  }

  __device__ __forceinline__ void store(const Work& work,
                                        const float (&grad_q)[kHeadSize / 2]) const {
    const AttendProblem& problem = a.problem.attend;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = work.position + group * kBlock + row + 8 * r;
      const int64_t out_row = position + work.rows.row_shift;
      auto* to = static_cast<__nv_bfloat16*>(a.problem.grad_q) +
                 (out_row * problem.num_heads + work.head) * kHeadSize;
      store_row<kHeadSize>(grad_q, r, problem.scale, to,
                           position >= work.rows.begin && position < work.rows.end);
    }
  }
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1)
    query_gradient_kernel(const __grid_constant__ Arguments a) {
  auto& shared = whole_shared<Shared<kHeadSize>>();
  const AttendProblem& problem = a.problem.attend;
  run_tiles<kHeadSize, 24>(problem, shared, TensorSource(problem, &a.maps.k, &a.maps.v),
                           Rows<kHeadSize>{a, shared},
                           [&] { Consumer<kHeadSize>(a, shared).run(); });
}

template <int kHeadSize>
cudaError_t launch_query_gradient(const BackwardProblem& problem, cudaStream_t stream) {
  const AttendProblem& p = problem.attend;
  Arguments a = {};
  a.problem = problem;
  for (const cudaError_t error :
       {make_tensor_maps(p, a.maps),
        make_tensor_map(problem.grad_out, p.num_rows, p.num_heads, kHeadSize, kBlock,
                        a.grad_out_map),
        make_tensor_map(problem.out, p.num_rows, p.num_heads, kHeadSize, kBlock, a.out_map)}) {
    if (error != cudaSuccess) return error;
  }
  return launch_persistent<Shared<kHeadSize>>(query_gradient_kernel<kHeadSize>, a,
                                              p.num_tiles * p.num_heads, kThreads, stream);
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
