// attention/cuda/softmax.cuh: the running softmax of a warpgroup's 64 rows, on fragments (see
// wgmma.cuh): a thread has two rows, r and r + 8, and shares each with the three other threads
// of its quad.
#pragma once

#include <cmath>

#include "longgen/attention/cuda/ptx.cuh"

namespace longgen::cuda {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

__device__ __forceinline__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffff, x, 1);
  return x + __shfl_xor_sync(0xffffffff, x, 2);
}

/// The running softmax of a thread's two rows. Scores come unscaled, and scale_log2 is
/// scale * log2(e).
struct RunningSoftmax {
  float maximum[2] = {-INFINITY, -INFINITY};  // of the unscaled scores
  float sum[2] = {0, 0};                      // this thread's share
  float scale_log2;

  __device__ explicit RunningSoftmax(float scale_log2_) : scale_log2(scale_log2_) {}

  /// Turns the first kUsed scores into exp(scale * (score - new maximum)); `rescale` is what
  /// earlier sums and outputs are multiplied by.
  template <int kUsed, int kCount>
  __device__ __forceinline__ void update(float (&scores)[kCount], float (&rescale)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float highest = maximum[r];
#pragma unroll
      for (int i = 0; i < kUsed; i += 4)
        highest = fmaxf(highest, fmaxf(scores[i + 2 * r], scores[i + 2 * r + 1]));
      highest = quad_max(highest);
      // A row that has seen no key yet: subtract 0, so that exp(-inf - 0) is 0 and not NaN.
      const float shift = highest == -INFINITY ? 0.0f : highest * scale_log2;
      rescale[r] = exp2_approx(maximum[r] * scale_log2 - shift);
      maximum[r] = highest;
      float added = 0;
#pragma unroll
      for (int i = 0; i < kUsed; i += 4) {
        scores[i + 2 * r] = exp2_approx(scores[i + 2 * r] * scale_log2 - shift);
        scores[i + 2 * r + 1] = exp2_approx(scores[i + 2 * r + 1] * scale_log2 - shift);
        added += scores[i + 2 * r] + scores[i + 2 * r + 1];
      }
      sum[r] = sum[r] * rescale[r] + added;
    }
  }

  /// Factor of the output of row r, and its log-sum-exp; 0 and -inf for a row without a key. Whole
  /// quads call it.
  __device__ __forceinline__ float finish(int r, float& lse) {
    const float total = quad_sum(sum[r]);
    lse = total > 0 ? (maximum[r] * scale_log2 + log2f(total)) * kLn2 : -INFINITY;
    return total > 0 ? 1.0f / total : 0.0f;
  }
};

/// A row's 32 columns of four neighbouring groups, 8 in each thread of a quad, from pairs in every
/// thread: thread t of a quad gives words w[0..3] (columns 2t, 2t + 1 of groups 0 to 3) and
/// receives all four words of group t.
__device__ __forceinline__ void transpose_quad(uint32_t (&w)[4]) {
  const bool odd = threadIdx.x & 1, high = threadIdx.x & 2;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const uint32_t got = __shfl_xor_sync(0xffffffff, odd ? w[i] : w[i + 1], 1);
    if (odd) {
      w[i] = got;
    } else {
      w[i + 1] = got;
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t got = __shfl_xor_sync(0xffffffff, high ? w[i] : w[i + 2], 2);
    if (high) {
      w[i] = got;
    } else {
      w[i + 2] = got;
    }
  }
}

}  // namespace longgen::cuda
