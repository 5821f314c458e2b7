// Cross-entropy of a chunk of logits: a block a row. The largest logit and the sum of exponentials
// come from one reading pass; the gradient needs another, which finds most of the row in L2.
#include <cmath>

#include "longgen/ops/cuda/row_kernels.h"
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

template <typename T, int kCount>
__global__ void __launch_bounds__(kRowThreads, 2)
    cross_entropy_kernel(const __grid_constant__ CrossEntropy job) {
  const int64_t row = blockIdx.x, n = job.num_classes;
  T* x = static_cast<T*>(job.logits) + row * n;
  const int64_t target = job.targets[row];
  if (target < 0 || target >= n) {  // the same for the whole block
    if (threadIdx.x == 0) job.losses[row] = 0;
    if (!job.make_gradient) return;
    for (int64_t i = threadIdx.x * kCount; i < n; i += kRowThreads * kCount) {
      store(x + i, Floats<kCount>{});
    }
    return;
  }
  const float target_logit = load<1>(x + target).at[0];
  const ExpSum all = merged_over_block(part_of_thread<T, kCount>(x, n));
  if (threadIdx.x == 0) {
    job.losses[row] = log(all.sum) - (static_cast<double>(target_logit) - all.shift);
  }
  if (!job.make_gradient) return;
  // Every thread has read its part and the target: all passed the barriers in merged_over_block().
  const auto scale = static_cast<float>(1.0 / all.sum);
  for (int64_t i = threadIdx.x * kCount; i < n; i += kRowThreads * kCount) {
    auto v = load<kCount>(x + i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      v.at[j] =
          __expf(v.at[j] - all.shift) * scale - (i + j == target ? 1.0F : 0.0F);  // rounded once
    }
    store(x + i, v);
  }
}

constexpr int kSumThreads = 1024;

/// One block: thread t adds values t, t + 1024, ...; then pairs of threads, in a fixed tree.
__global__ void __launch_bounds__(kSumThreads)
    sum_in_order_kernel(const double* values, int64_t count, const int64_t* targets,
                        int64_t num_classes, double* result) {
  __shared__ double sums[kSumThreads];
  __shared__ int64_t bad_rows[kSumThreads];
  double sum = 0;
  int64_t bad = INT64_MAX;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) {
    sum += values[i];
    if (targets != nullptr && (targets[i] < -1 || targets[i] >= num_classes) && i < bad) bad = i;
  }
  sums[threadIdx.x] = sum;
  bad_rows[threadIdx.x] = bad;
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      sums[threadIdx.x] += sums[threadIdx.x + half];
      bad_rows[threadIdx.x] = min(bad_rows[threadIdx.x], bad_rows[threadIdx.x + half]);
    }
  }
  if (threadIdx.x != 0) return;
  result[0] = sums[0];
  result[1] = bad_rows[0] == INT64_MAX ? -1.0 : static_cast<double>(bad_rows[0]);
}

}  // namespace

void cross_entropy(const CrossEntropy& job, cudaStream_t stream) {
  if (job.num_rows == 0 || job.num_classes == 0) return;
  const bool wide = fits_wide(job.is_bf16, {job.logits}, {job.num_classes});
  with_step(job.is_bf16, wide, [&](auto step) {
    using S = decltype(step);
    cross_entropy_kernel<typename S::Type, S::kCount>
        <<<static_cast<unsigned>(job.num_rows), kRowThreads, 0, stream>>>(job);
  });
}

void sum_in_order(const double* values, int64_t count, const int64_t* targets, int64_t num_classes,
                  double* result, cudaStream_t stream) {
  sum_in_order_kernel<<<1, kSumThreads, 0, stream>>>(values, count, targets, num_classes, result);
}

}  // namespace longgen::cuda
