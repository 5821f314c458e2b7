// attention/cuda/forward_tiles.cuh: the kernel of the forward pass, for keys and values of any
// source: one CTA a multiprocessor walks over tiles of 128 query rows of one head. A producer warp
// keeps the stages of keys and values full; two consumer warpgroups take 64 rows each. A warpgroup
// issues the scores of the next 128 keys and the output of the last ones together; while one
// warpgroup computes its softmax, the tensor cores have the products of the other.
#pragma once

#include "longgen/attention/cuda/query_tiles.cuh"

namespace longgen::cuda {

/// A stage of v is needed a step longer than one of k: with heads of 128, where five of them fit, v
/// has the odd one.
template <int kHeadSize>
struct ForwardShared : TileStages<kHeadSize, 2, kHeadSize == 64 ? 4 : 2, kHeadSize == 64 ? 4 : 3> {
  alignas(1024) uint8_t q[2][2][TileBytes<kHeadSize>::kRows64];  // of a tile and the next
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
  Ring<ForwardShared<kHeadSize>::kStagesOfK> k_ring;
  Ring<ForwardShared<kHeadSize>::kStagesOfV> v_ring;
  Ring<2> q_ring;
  typename WorkQueue<Work>::Place place;

  __device__ ForwardConsumer(const ForwardArguments& arguments, ForwardShared<kHeadSize>& s)
      : a(arguments), shared(s) {}

  // The warpgroups issue products in turns with heads of 64, where the softmax takes as long as the
  // products. With heads of 128 they do not.
  static constexpr bool kTakeTurns = kHeadSize == 64;
  __device__ __forceinline__ void my_turn() const {
    if constexpr (kTakeTurns) named_barrier_sync(1 + group, kConsumerThreads);
  }
  __device__ __forceinline__ void your_turn() const {
    if constexpr (kTakeTurns) named_barrier_arrive(2 - group, kConsumerThreads);
  }

  /// What a consumer holds in registers. When the scores of the next tile are issued, only the
  /// softmax of the last step is done of this one.
  struct State {
    float scores[64], out[kHeadSize / 2];
    uint32_t p[8][4];
    bool p_is_half = false;  // of the second block alone
    RunningSoftmax softmax;
    __device__ explicit State(float scale_log2) : softmax(scale_log2) { begin_tile(); }
    __device__ __forceinline__ void begin_tile() {
      softmax = RunningSoftmax(softmax.scale_log2);
#pragma unroll
      for (int i = 0; i < kHeadSize / 2; ++i) out[i] = 0;
    }
  };

  /// Steps with one block of interest are computed as such. With heads of 64 the compiler would
  /// run out of registers for the kinds of steps (it then waits after every product): the other
  /// block is masked.
  static constexpr bool kHalfSteps = kHeadSize == 128;

  __device__ __forceinline__ StepViews views(const Work& work, int step) const {
    return StepViews(a.problem.pattern, work, group, step);
  }

  template <int kBlocks>
  __device__ __forceinline__ void issue_scores(State& s) const {
    issue_rows_times_keys<kHeadSize, kBlocks>(s.scores, shared.q[q_ring.stage][group],
                                              shared.k[k_ring.stage]);
  }
  template <int kBlocks>
  __device__ __forceinline__ void issue_out(State& s) const {
    issue_fragments_times_values<kHeadSize, kBlocks>(s.out, s.p, shared.v[v_ring.stage]);
  }
  __device__ __forceinline__ void wait_for_k() { shared.k_gates.wait(k_ring); }
  __device__ __forceinline__ void wait_for_v() { shared.v_gates.wait(v_ring); }
  __device__ __forceinline__ void release_k() {
    release(&shared.k_gates.empty[k_ring.stage]);
    k_ring.next();
  }
  __device__ __forceinline__ void release_v() {
    release(&shared.v_gates.empty[v_ring.stage]);
    v_ring.next();
  }

  /// Makes the scores and the softmax of a tile's first step.
  __device__ __forceinline__ void first_step(State& s, const Work& work) {
    shared.rows_gates[group].wait(q_ring);
    wait_for_k();
    my_turn();
    issue_scores<2>(s);
    your_turn();
    wgmma_wait<0>(s.scores);
    release_k();
    first_softmax<2>(s, work);
  }

  template <int kBlocks>
  __device__ __forceinline__ void first_softmax(State& s, const Work& work) {
    float rescale[2];
    views(work, 0).template mask<kBlocks>(s.scores, row, -INFINITY);
    s.softmax.template update<32 * kBlocks>(s.scores, rescale);
    round_to_fragments<4 * kBlocks>(s.scores, s.p);
    s.p_is_half = kBlocks == 1;
  }

  /// Makes the scores of this step beside the output of the one before, which had kBefore blocks.
  template <int kBefore, int kBlocks>
  __device__ __forceinline__ void next_step(State& s, const Work& work, int step) {
    float rescale[2];
    wait_for_k();
    my_turn();
    issue_scores<kBlocks>(s);
    wait_for_v();
    issue_out<kBefore>(s);
    your_turn();
    wgmma_wait<1>(s.scores);
    release_k();
    if (!work.sees_all(step)) views(work, step).template mask<kBlocks>(s.scores, row, -INFINITY);
    s.softmax.template update<32 * kBlocks>(s.scores, rescale);
    wgmma_wait<0>(s.out);
    release_v();
#pragma unroll
    for (int i = 0; i < kHeadSize / 2; ++i) s.out[i] *= rescale[(i >> 1) & 1];
    round_to_fragments<4 * kBlocks>(s.scores, s.p);
    s.p_is_half = kBlocks == 1;
  }

  /// Makes the last output of a tile beside the first scores of the next one, which run while the
  /// tile is stored.
  template <int kBefore, int kBlocks>
  __device__ __forceinline__ void next_tile(State& s, const Work& work, const Work& next) {
    wait_for_v();
    shared.rows_gates[group].wait(q_ring);
    wait_for_k();
    my_turn();
    issue_out<kBefore>(s);
    issue_scores<kBlocks>(s);
    your_turn();
    wgmma_wait<1>(s.out);
    release_v();
    store(work, s.out, s.softmax);
    s.begin_tile();
    wgmma_wait<0>(s.scores);
    release_k();
    first_softmax<kBlocks>(s, next);
  }

  /// Makes all steps but the first. Half steps come first and last; one in between would be
  /// computed whole and masked.
  __device__ __forceinline__ void other_steps(State& s, const Work& work) {
    const int steps = work.num_steps();
    int step = 1;
    if (s.p_is_half && steps > 1) next_step<1, 2>(s, work, step++);
    const bool ends_half = kHalfSteps && step < steps && views(work, steps - 1).is_half();
    for (; step < steps - (ends_half ? 1 : 0); ++step) next_step<2, 2>(s, work, step);
    if (ends_half) next_step<2, 1>(s, work, step);
  }

  __device__ void run() {
    if (group == 1) your_turn();
    const Work* work = shared.queue.wait(place);
    if (work == nullptr) return;
    State s(a.problem.scale * kLog2E);
    first_step(s, *work);
    while (true) {
      other_steps(s, *work);
      release(&shared.rows_gates[group].empty[q_ring.stage]);
      q_ring.next();
      uint64_t* const done = shared.queue.empty(place);
      place.next();
      const Work* const next = shared.queue.wait(place);
      if (next == nullptr) break;
      if (s.p_is_half) {
        next_tile<1, 2>(s, *work, *next);
      } else if (kHalfSteps && views(*next, 0).is_half()) {
        next_tile<2, 1>(s, *work, *next);
      } else {
        next_tile<2, 2>(s, *work, *next);
      }
      __syncwarp();  // without it ptxas serializes products (C7511)
      barrier_arrive(done);
      work = next;
    }
    wait_for_v();
    if (s.p_is_half) {
      issue_out<1>(s);
    } else {
      issue_out<2>(s);
    }
    wgmma_wait<0>(s.out);
    store(*work, s.out, s.softmax);
  }

  __device__ __forceinline__ void store(const Work& work, float (&out)[kHeadSize / 2],
                                        const RunningSoftmax& softmax) const {
    const AttendProblem& problem = a.problem;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      RunningSoftmax finished = softmax;
      float lse;
      const float factor = finished.finish(r, lse);
      const int position = work.position + group * kBlock + row + 8 * r;
      const bool mine = position >= work.rows.begin && position < work.rows.end;
      const int64_t out_row = position + work.rows.row_shift;
      if (mine && a.lse != nullptr && lane % 4 == 0)
        a.lse[work.head * problem.num_rows + out_row] = lse;
      __nv_bfloat16* to = a.out + (out_row * problem.num_heads + work.head) * kHeadSize;
      store_row<kHeadSize>(out, r, factor, to, mine);
    }
  }
};

/// Fetches the query rows of a tile for the TileProducer.
template <int kHeadSize>
struct ForwardRows {
  static constexpr int kBytes = TileBytes<kHeadSize>::kRows64;
  static constexpr bool kHasMore = false;
  const ForwardArguments& a;
  ForwardShared<kHeadSize>& shared;

  __device__ __forceinline__ void load(const Work& work, int group, int buffer,
                                       uint64_t* full) const {
    load_query_rows<kHeadSize>(shared.q[buffer][group], &a.q_map, full, work, group);
  }
};

/// The body of a CTA.
template <int kHeadSize, typename Source>
__device__ __forceinline__ void run_forward(const ForwardArguments& a, const Source& source) {
  auto& shared = whole_shared<ForwardShared<kHeadSize>>();
  if (threadIdx.x == 0) prefetch_map(&a.q_map);
  run_tiles<kHeadSize, 40>(a.problem, shared, source, ForwardRows<kHeadSize>{a, shared},
                           [&] { ForwardConsumer<kHeadSize>(a, shared).run(); });
}

}  // namespace longgen::cuda
