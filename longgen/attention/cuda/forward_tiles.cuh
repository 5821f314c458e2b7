// attention/cuda/forward_tiles.cuh: the kernel of the forward pass, for keys and values of any source: one CTA a multiprocessor
// walks over tiles of 128 query rows of one head. A producer warp keeps the stages of keys and values full; two consumer
// warpgroups take 64 rows each. A warpgroup issues the scores of the next 128 keys and the output of the last ones together;
// while one warpgroup computes its softmax, the tensor cores have the products of the other.
#pragma once

#include "longgen/attention/cuda/query_tiles.cuh"

namespace longgen::cuda {

template <int kHeadSize>
struct ForwardShared : TileStages<kHeadSize> {
  alignas(1024) uint8_t q[2][TileBytes<kHeadSize>::kRows64];
};

struct ForwardArguments {
  AttendProblem problem;
  CUtensorMap q_map;  // boxes of one block
  __nv_bfloat16* out;
  float* lse;  // null: not wanted
};

template <int kHeadSize>
struct ForwardConsumer : ConsumerThread {
  const ForwardArguments& a;
  ForwardShared<kHeadSize>& shared;
  Ring<ForwardShared<kHeadSize>::kStages> k_ring, v_ring;
  uint32_t q_phase = 0;

  __device__ ForwardConsumer(const ForwardArguments& arguments, ForwardShared<kHeadSize>& s) : a(arguments), shared(s) {}

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

  __device__ void run() {
    if (group == 1) your_turn();
    consume_tiles<kHeadSize>(shared, q_phase, [this](const Work& work) { tile(work); });
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
  /// the kinds of steps (it then waits after every product): the other block is masked.
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
    State s(a.problem.scale * kLog2E);
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
      if (mine && a.lse != nullptr && lane % 4 == 0) a.lse[work.head * problem.num_rows + out_row] = lse;
      __nv_bfloat16* to = a.out + (out_row * problem.num_heads + work.head) * kHeadSize;
      store_row<kHeadSize>(out, r, factor, to, mine);
    }
  }
};

/// What a CTA does.
template <int kHeadSize, typename Source>
__device__ __forceinline__ void run_forward(const ForwardArguments& a, const Source& source, uint8_t* memory) {
  auto& shared = aligned_shared<ForwardShared<kHeadSize>>(memory);
  if (threadIdx.x == 0) prefetch_map(&a.q_map);
  const auto produce = [&] {
    produce_tiles<kHeadSize>(a.problem, source, shared, sizeof(shared.q), [&](const Work& work) {
      load_query_rows<kHeadSize>(shared.q, &a.q_map, &shared.q_full, work);
    });
  };
  run_warpgroups(shared, produce, [&] { ForwardConsumer<kHeadSize>(a, shared).run(); });
}

}  // namespace longgen::cuda
