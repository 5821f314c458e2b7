// AdamW and the sum of squares of a tensor, fp32 or bf16.
#include "longgen/base/stochastic_rounding.h"
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

/// The bf16 that a number is rounded to, or the number itself.
template <typename T>
__device__ __forceinline__ float rounded_stochastically(float x, uint64_t random) {
  if constexpr (sizeof(T) == 4) return x;
  const uint32_t upper_half = stochastic_bf16(__float_as_uint(x), random);
  return __uint_as_float(upper_half << 16);
}

template <typename S>
__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ AdamW job) {
  using T = typename S::Type;
  constexpr int kCount = S::kCount;
  const int64_t i = (blockIdx.x * int64_t{kThreads} + threadIdx.x) * kCount;
  if (i >= job.count) return;
  T *const weights = static_cast<T*>(job.weight) + i, *const ms = static_cast<T*>(job.m) + i,
           *const vs = static_cast<T*>(job.v) + i;
  const auto gradient = load<kCount>(static_cast<const T*>(job.gradient) + i);
  auto weight = load<kCount>(weights), m = load<kCount>(ms), v = load<kCount>(vs);
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float g = gradient.at[j] * job.grad_scale;
    m.at[j] += job.new_share1 * (g - m.at[j]);
    v.at[j] += job.new_share2 * (g * g - v.at[j]);
    const float size = sqrtf(v.at[j]) * job.inverse_root_correction2 + job.eps;
    weight.at[j] = weight.at[j] * job.keep - job.step_size * m.at[j] / size;
    const uint64_t random = sizeof(T) == 4 ? 0 : element_bits(job.key, i + j);
    weight.at[j] = rounded_stochastically<T>(weight.at[j], random);
    m.at[j] = rounded_stochastically<T>(m.at[j], random >> 16);
    v.at[j] = rounded_stochastically<T>(v.at[j], random >> 32);
  }
  store(weights, weight);
  store(ms, m);
  store(vs, v);
}

template <typename S>
__global__ void __launch_bounds__(kThreads)
    sum_squares_kernel(const typename S::Type* x, int64_t count, double* sums) {
  constexpr int kCount = S::kCount;
  const int64_t begin = blockIdx.x * kSquaresChunk;
  const int64_t end = begin + kSquaresChunk < count ? begin + kSquaresChunk : count;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x * kCount; i < end; i += kThreads * kCount) {
    const auto v = load<kCount>(x + i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      sum += static_cast<double>(v.at[j]) * static_cast<double>(v.at[j]);
    }
  }
  __shared__ double parts[kThreads];
  parts[threadIdx.x] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}

}  // namespace

void adamw(const AdamW& job, cudaStream_t stream) {
  if (job.count == 0) return;
  const bool wide = fits_wide(job.is_bf16, {job.gradient, job.weight, job.m, job.v}, {job.count});
  with_step(job.is_bf16, wide, [&](auto step) {
    using S = decltype(step);
    const unsigned blocks = num_blocks(job.count / S::kCount, kThreads);
    adamw_kernel<S><<<blocks, kThreads, 0, stream>>>(job);
  });
}

void sum_squares(bool is_bf16, const void* x, int64_t count, double* sums, cudaStream_t stream) {
  if (count == 0) return;
  const unsigned blocks = num_blocks(count, kSquaresChunk);
  with_step(is_bf16, fits_wide(is_bf16, {x}, {count}), [&](auto step) {
    using S = decltype(step);
    sum_squares_kernel<S>
        <<<blocks, kThreads, 0, stream>>>(static_cast<const typename S::Type*>(x), count, sums);
  });
}

}  // namespace longgen::cuda
