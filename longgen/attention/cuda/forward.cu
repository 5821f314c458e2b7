// The forward pass: one CTA a multiprocessor walks over tiles of 128 query rows of one head. A producer warp keeps the
// stages of keys and values full; two consumer warpgroups take 64 rows each. A warpgroup issues the scores of the next 128
// keys and the output of the last ones together; while one warpgroup computes its softmax, the tensor cores have the products
// of the other.
#include "longgen/attention/cuda/forward.h"
#include "longgen/attention/cuda/launch.cuh"
#include "longgen/attention/cuda/query_tiles.cuh"
#include "longgen/attention/cuda/softmax.cuh"
#include "longgen/attention/cuda/tensor_map.h"

namespace longgen::cuda {
namespace {

template <int kHeadSize>
struct Shared {
  using Bytes = TileBytes<kHeadSize>;
  static constexpr int kStages = kHeadSize == 64 ? 4 : 2;
  alignas(1024) uint8_t q[2][Bytes::kRows64];
  alignas(1024) uint8_t k[kStages][Bytes::kStage];
  alignas(1024) uint8_t v[kStages][Bytes::kStage];
  Work work[2];  // of this tile and the next; made by the producer, so that it takes no registers of the consumers
  uint64_t q_full, q_empty;
  uint64_t k_full[kStages], k_empty[kStages];
  uint64_t v_full[kStages], v_empty[kStages];
};

struct ForwardArguments {
  CUtensorMap q_map, k_map, v_map;
  AttendProblem problem;
  __nv_bfloat16* out;
  float* lse;
};

template <int kHeadSize>
__device__ void produce(const ForwardArguments& a, Shared<kHeadSize>& shared) {
  const AttendProblem& problem = a.problem;
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
    barrier_expect(&shared.q_full, 2 * TileBytes<kHeadSize>::kRows64);
    load_query_rows<kHeadSize>(shared.q, &a.q_map, &shared.q_full, work);
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

template <int kHeadSize>
struct Consumer {
  static constexpr int kStages = Shared<kHeadSize>::kStages;
  const ForwardArguments& a;
  Shared<kHeadSize>& shared;
  const int group, lane, row;  // row: of the thread, within its 64
  Ring<kStages> k_ring, v_ring;
  uint32_t q_phase = 0;

  __device__ Consumer(const ForwardArguments& arguments, Shared<kHeadSize>& s)
      : a(arguments),
        shared(s),
        group(static_cast<int>(threadIdx.x) / 128 - 1),
        lane(threadIdx.x % 32),
        row(threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4) {}

  // The warpgroups issue products in turns with heads of 64, where the softmax takes as long as the products: 353 against
  // 322 TFLOP/s. With heads of 128 turns cost more than they gain: 549 against 557 (sink 1 + window 16, 131,072 tokens, 32
  // heads, one H100, 2026-11).
  static constexpr bool kTakeTurns = kHeadSize == 64;
  __device__ __forceinline__ void my_turn() const {
    if constexpr (kTakeTurns) named_barrier_sync(1 + group, kConsumerThreads);
  }
  __device__ __forceinline__ void your_turn() const {
    if constexpr (kTakeTurns) named_barrier_arrive(2 - group, kConsumerThreads);
  }

  __device__ __forceinline__ void release(uint64_t* empty) const {
    if (lane == 0) barrier_arrive(empty);
  }

  __device__ void run() {
    if (group == 1) your_turn();
    while (true) {
      barrier_wait(&shared.q_full, q_phase);
      const Work& work = shared.work[q_phase];
      if (work.head < 0) return;
      tile(work);
    }
  }

  /// Registers of a tile.
  struct State {
    float scores[64], out[kHeadSize / 2];
    uint32_t p[8][4];
    RunningSoftmax softmax;
    __device__ explicit State(float scale_log2) : softmax(scale_log2) {
#pragma unroll
      for (int i = 0; i < kHeadSize / 2; ++i) out[i] = 0;
    }
  };

  /// Steps with one block of interest are computed as such. With heads of 64 the compiler would run out of registers for
  /// the four kinds of steps (it then waits after every product): the other block is masked.
  static constexpr bool kHalfSteps = kHeadSize == 128;

  __device__ __forceinline__ StepViews views(const Work& work, int step) const {
    return StepViews(a.problem.pattern, work, group, step);
  }

  /// Scores and softmax of the first step; kBlocks 1 where the warpgroup sees its second block alone.
  template <int kBlocks>
  __device__ __forceinline__ void first_step(State& s, const StepViews& seen) {
    float rescale[2];
    my_turn();
    issue_rows_times_keys<kHeadSize, kBlocks>(s.scores, shared.q[group], shared.k[k_ring.stage]);
    your_turn();
    wgmma_wait<0>(s.scores);
    release(&shared.k_empty[k_ring.stage]);
    k_ring.next();
    seen.mask<kBlocks>(s.scores, row, -INFINITY);
    s.softmax.template update<32 * kBlocks>(s.scores, rescale);
    round_to_fragments<4 * kBlocks>(s.scores, s.p);
  }

  /// The scores of this step beside the output of the one before, which had kBefore blocks.
  template <int kBefore, int kBlocks>
  __device__ __forceinline__ void next_step(State& s, const Work& work, int step) {
    float rescale[2];
    barrier_wait(&shared.k_full[k_ring.stage], k_ring.phase);
    my_turn();
    issue_rows_times_keys<kHeadSize, kBlocks>(s.scores, shared.q[group], shared.k[k_ring.stage]);
    barrier_wait(&shared.v_full[v_ring.stage], v_ring.phase);
    issue_fragments_times_values<kHeadSize, kBefore>(s.out, s.p, shared.v[v_ring.stage]);
    your_turn();
    const StepViews seen = views(work, step);
    wgmma_wait<1>(s.scores);
    release(&shared.k_empty[k_ring.stage]);
    k_ring.next();
    seen.mask<kBlocks>(s.scores, row, -INFINITY);
    s.softmax.template update<32 * kBlocks>(s.scores, rescale);
    wgmma_wait<0>(s.out);
    release(&shared.v_empty[v_ring.stage]);
    v_ring.next();
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; ++i) s.out[i] *= rescale[(i >> 1) & 1];
    round_to_fragments<4 * kBlocks>(s.scores, s.p);
  }

  __device__ __forceinline__ void tile(const Work& work) {
    const int steps = work.num_steps();
    State s(a.problem.scale * 1.4426950408889634f);
    const StepViews seen = views(work, 0);
    barrier_wait(&shared.k_full[k_ring.stage], k_ring.phase);
    const bool was_half = kHalfSteps && seen.is_half();
    if (was_half) {
      first_step<1>(s, seen);
    } else {
      first_step<2>(s, seen);
    }
    // Half steps come first and last; one in between would be computed whole and masked.
    const bool ends_half = kHalfSteps && steps > (was_half ? 2 : 1) && views(work, steps - 1).is_half();
    int step = 1;
    if (was_half && steps > 1) next_step<1, 2>(s, work, step++);
    for (; step < steps - (ends_half ? 1 : 0); ++step) next_step<2, 2>(s, work, step);
    if (ends_half) next_step<2, 1>(s, work, step);
    const bool was_last_half = ends_half || (was_half && steps == 1);
    release(&shared.q_empty);
    q_phase ^= 1;

    barrier_wait(&shared.v_full[v_ring.stage], v_ring.phase);
    if (was_last_half) {
      issue_fragments_times_values<kHeadSize, 1>(s.out, s.p, shared.v[v_ring.stage]);
    } else {
      issue_fragments_times_values<kHeadSize, 2>(s.out, s.p, shared.v[v_ring.stage]);
    }
    wgmma_wait<0>(s.out);
    release(&shared.v_empty[v_ring.stage]);
    v_ring.next();
    store(work, s.out, s.softmax);
  }

  __device__ __forceinline__ void store(const Work& work, float (&out)[kHeadSize / 2], const RunningSoftmax& softmax) const {
    const AttendProblem& problem = a.problem;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      RunningSoftmax finished = softmax;
      float lse;
      const float factor = finished.finish(r, lse);
      const int position = work.position + group * kBlock + row + 8 * r;
      const bool mine = position >= work.rows.begin && position < work.rows.end;
      const int64_t out_row = position + work.rows.row_shift;
      if (mine && lane % 4 == 0) a.lse[work.head * problem.num_rows + out_row] = lse;
      __nv_bfloat16* to = a.out + (out_row * problem.num_heads + work.head) * kHeadSize;
      store_row<kHeadSize>(out, r, factor, to, mine);
    }
  }
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1) forward_kernel(const __grid_constant__ ForwardArguments a) {
  extern __shared__ uint8_t memory[];
  auto& shared = aligned_shared<Shared<kHeadSize>>(memory);
  if (threadIdx.x == 0) {
    prefetch_map(&a.q_map);
    prefetch_map(&a.k_map);
    prefetch_map(&a.v_map);
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
cudaError_t launch(const AttendProblem& problem, void* out, float* lse, cudaStream_t stream) {
  ForwardArguments a = {};
  a.problem = problem;
  a.out = static_cast<__nv_bfloat16*>(out);
  a.lse = lse;
  for (const cudaError_t error :
       {make_tensor_map(problem.q, problem.num_rows, problem.num_heads, kHeadSize, kBlock, a.q_map),
        make_tensor_map(problem.k, problem.num_keys, problem.num_kv_heads, kHeadSize, kBlock, a.k_map),
        make_tensor_map(problem.v, problem.num_keys, problem.num_kv_heads, kHeadSize, kBlock, a.v_map)}) {
    if (error != cudaSuccess) return error;
  }
  return launch_persistent<Shared<kHeadSize>>(forward_kernel<kHeadSize>, a, problem.num_tiles * problem.num_heads, kThreads,
                                              stream);
}

}  // namespace

cudaError_t attend_forward(const AttendProblem& problem, void* out, float* lse, cudaStream_t stream) {
  return problem.head_size == 64 ? launch<64>(problem, out, lse, stream) : launch<128>(problem, out, lse, stream);
}

}  // namespace longgen::cuda
