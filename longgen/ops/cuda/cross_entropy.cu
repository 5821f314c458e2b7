// Cross-entropy of a chunk of logits: a block a row. The largest logit and the sum of exponentials
// come from one reading pass; the gradient needs another, which finds most of the row in L2.
#include <cmath>

#include "longgen/ops/cuda/exp_sum.cuh"
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

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
