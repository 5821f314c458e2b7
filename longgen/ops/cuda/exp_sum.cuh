// ops/cuda/exp_sum.cuh: what the softmax of a row of logits divides by, found by a block in one
// reading pass.
#pragma once

#include <cmath>
#include <cstdint>

#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

// Few rows are in work at a time, so that they stay in L2: two blocks on each of 132
// multiprocessors, 42 registers a thread.
constexpr int kRowThreads = 768, kWarps = kRowThreads / 32;

/// The sum of e^(x - shift), where shift is the largest x so far.
struct ExpSum {
  float shift;
  double sum;
};

/// Largest logits of minus infinity shift by nothing: e^-inf is then 0, not NaN.
__device__ __forceinline__ float finite_shift(float largest) {
  return largest == -INFINITY ? 0.0F : largest;
}

__device__ __forceinline__ ExpSum merged(const ExpSum& a, const ExpSum& b) {
  const float largest = fmaxf(a.shift, b.shift), shift = finite_shift(largest);
  return {largest, a.sum * static_cast<double>(__expf(a.shift - shift)) +
                       b.sum * static_cast<double>(__expf(b.shift - shift))};
}

/// What this thread's part of the row gives. __expf is wrong by 2^-22 of its value at most, and by
/// less where it counts less: not more than the fp32 sum over a thread's part.
template <typename T, int kCount>
__device__ __forceinline__ ExpSum part_of_thread(const T* x, int64_t num_classes) {
  float largest = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x * kCount; i < num_classes; i += kRowThreads * kCount) {
    const auto v = load<kCount>(x + i);
    float next = largest;
#pragma unroll
    for (int j = 0; j < kCount; ++j) next = fmaxf(next, v.at[j]);
    const float shift = finite_shift(next);
    sum *= __expf(largest - shift);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum += __expf(v.at[j] - shift);
    largest = next;
  }
  return {largest, sum};
}

__device__ __forceinline__ ExpSum merged_over_warp(ExpSum part) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    part = merged(part, {__shfl_xor_sync(0xffffffffU, part.shift, step),
                         __shfl_xor_sync(0xffffffffU, part.sum, step)});
  }
  return part;
}

/// Merges the parts of all threads, and gives the result to each of them.
__device__ ExpSum merged_over_block(ExpSum part) {
  static_assert(kWarps <= 32);
  __shared__ ExpSum warps[kWarps];
  part = merged_over_warp(part);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = part;
  __syncthreads();
  if (threadIdx.x < 32) {
    part = merged_over_warp(threadIdx.x < kWarps ? warps[threadIdx.x] : ExpSum{-INFINITY, 0});
    if (threadIdx.x == 0) warps[0] = part;
  }
  __syncthreads();
  return warps[0];
}

}  // namespace
}  // namespace longgen::cuda
