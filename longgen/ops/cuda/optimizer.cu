// AdamW and the sum of squares of a tensor, fp32.
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

template <int kCount>
__global__ void __launch_bounds__(kThreads) adamw_kernel(const __grid_constant__ AdamW job) {
  const int64_t i = (blockIdx.x * int64_t{kThreads} + threadIdx.x) * kCount;
  if (i >= job.count) return;
  const auto gradient = load<kCount>(job.gradient + i);
  auto weight = load<kCount>(job.weight + i), m = load<kCount>(job.m + i),
       v = load<kCount>(job.v + i);
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float g = gradient.at[j] * job.grad_scale;
    m.at[j] += job.new_share1 * (g - m.at[j]);
    v.at[j] += job.new_share2 * (g * g - v.at[j]);
    const float size = sqrtf(v.at[j]) * job.inverse_root_correction2 + job.eps;
    weight.at[j] = weight.at[j] * job.keep - job.step_size * m.at[j] / size;
  }
  store(job.weight + i, weight);
  store(job.m + i, m);
  store(job.v + i, v);
}

template <int kCount>
__global__ void __launch_bounds__(kThreads)
    sum_squares_kernel(const float* x, int64_t count, double* sums) {
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
  if (fits_wide(false, {job.gradient, job.weight, job.m, job.v}, {job.count})) {
    adamw_kernel<4><<<num_blocks(job.count / 4, kThreads), kThreads, 0, stream>>>(job);
  } else {
    adamw_kernel<1><<<num_blocks(job.count, kThreads), kThreads, 0, stream>>>(job);
  }
}

void sum_squares(const float* x, int64_t count, double* sums, cudaStream_t stream) {
  if (count == 0) return;
  const unsigned blocks = num_blocks(count, kSquaresChunk);
  if (fits_wide(false, {x}, {count})) {
    sum_squares_kernel<4><<<blocks, kThreads, 0, stream>>>(x, count, sums);
  } else {
    sum_squares_kernel<1><<<blocks, kThreads, 0, stream>>>(x, count, sums);
  }
}

}  // namespace longgen::cuda
