// Cross-entropy of a chunk of logits and their divergence from a teacher's: a block a row. One
// reading pass of each row gives what its softmax divides by; a second one, which finds most of
// both rows in L2, the divergence and the gradient.
#include <cmath>

#include "longgen/ops/cuda/exp_sum.cuh"
#include "longgen/ops/cuda/row_kernels.h"

namespace longgen::cuda {
namespace {

/// Adds the numbers of all threads in a fixed order; thread 0 gets the result.
__device__ double sum_over_block(double part) {
  __shared__ double warps[kWarps];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) part += __shfl_xor_sync(0xffffffffU, part, step);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = part;
  __syncthreads();
  double sum = 0;
  if (threadIdx.x == 0) {
    for (int warp = 0; warp < kWarps; ++warp) sum += warps[warp];
  }
  return sum;
}

__device__ __forceinline__ double log_of(const ExpSum& all) { return log(all.sum) + all.shift; }

/// What a row without a target has.
template <typename T, int kCount>
__device__ __forceinline__ void clear_row(const Distillation& job, T* x) {
  if (threadIdx.x == 0) job.losses[blockIdx.x] = job.divergences[blockIdx.x] = 0;
  if (!job.make_gradient) return;
  for (int64_t i = threadIdx.x * kCount; i < job.num_classes; i += kRowThreads * kCount) {
    store(x + i, Floats<kCount>{});
  }
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kRowThreads, 2)
    distillation_kernel(const __grid_constant__ Distillation job) {
  const int64_t row = blockIdx.x, n = job.num_classes;
  T* x = static_cast<T*>(job.logits) + row * n;
  const T* y = static_cast<const T*>(job.teacher_logits) + row * n;
  const int64_t target = job.targets[row];
  if (target < 0 || target >= n) return clear_row<T, kCount>(job, x);  // the whole block
  const float target_logit = load<1>(x + target).at[0];
  const ExpSum student = merged_over_block(part_of_thread<T, kCount>(x, n));
  __syncthreads();  // everybody has read the result, whose memory is used again
  const ExpSum teacher = merged_over_block(part_of_thread<T, kCount>(y, n));
  const auto gain = static_cast<float>(log_of(student) - log_of(teacher));
  const auto scale = static_cast<float>(1.0 / student.sum);
  const auto teacher_scale = static_cast<float>(1.0 / teacher.sum);
  float sum = 0;
  for (int64_t i = threadIdx.x * kCount; i < n; i += kRowThreads * kCount) {
    auto v = load<kCount>(x + i);
    const auto w = load<kCount>(y + i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      // Products are rounded for themselves: where teacher and student agree, p - q is exactly 0.
      const float p = __fmul_rn(__expf(v.at[j] - student.shift), scale);
      const float q = __fmul_rn(__expf(w.at[j] - teacher.shift), teacher_scale);
      if (q > 0) sum += q * (w.at[j] - v.at[j] + gain);
      v.at[j] = p - __fmul_rn(job.share, q) - (i + j == target ? 1.0F - job.share : 0.0F);
    }
    if (job.make_gradient) store(x + i, v);
  }
  const double divergence = sum_over_block(sum);
  if (threadIdx.x != 0) return;
  job.losses[row] = log_of(student) - static_cast<double>(target_logit);
  job.divergences[row] = divergence;
}

}  // namespace

void distillation(const Distillation& job, cudaStream_t stream) {
  if (job.num_rows == 0 || job.num_classes == 0) return;
  const bool wide = fits_wide(job.is_bf16, {job.logits, job.teacher_logits}, {job.num_classes});
  with_step(job.is_bf16, wide, [&](auto step) {
    using S = decltype(step);
    distillation_kernel<typename S::Type, S::kCount>
        <<<static_cast<unsigned>(job.num_rows), kRowThreads, 0, stream>>>(job);
  });
}

}  // namespace longgen::cuda
