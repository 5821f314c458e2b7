// SwiGLU, which is silu(gate) * up, and its gradients.
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

/// The row of a thread and its first column.
struct Place {
  int64_t row;
  int64_t column;
};
__device__ __forceinline__ Place place_of_thread(int64_t width, int step) {
  const int64_t item = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  const int64_t steps = width / step, row = quotient(item, steps);
  return {row, (item - row * steps) * step};
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads) swiglu_kernel(const __grid_constant__ SwiGlu job) {
  const auto [row, column] = place_of_thread(job.width, kCount);
  if (row >= job.num_rows) return;
  const T* gates = static_cast<const T*>(job.gate_up) + row * job.gate_up_stride + column;
  auto gate = load<kCount>(gates);
  const auto up = load<kCount>(gates + job.width);
#pragma unroll
  for (int j = 0; j < kCount; ++j) gate.at[j] = silu(gate.at[j]) * up.at[j];
  store(static_cast<T*>(job.out) + row * job.width + column, gate);
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(const __grid_constant__ SwiGlu job) {
  const auto [row, column] = place_of_thread(job.width, kCount);
  if (row >= job.num_rows) return;
  const T* gates = static_cast<const T*>(job.gate_up) + row * job.gate_up_stride + column;
  const auto gate = load<kCount>(gates), up = load<kCount>(gates + job.width);
  const auto grad = load<kCount>(static_cast<const T*>(job.grad) + row * job.grad_stride + column);
  Floats<kCount> grad_gate, grad_up;
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float g = gate.at[j], d = grad.at[j];
    const float sigmoid = 1.0F / (1.0F + expf(-g));
    grad_gate.at[j] = d * up.at[j] * sigmoid * (1.0F + g * (1.0F - sigmoid));
    grad_up.at[j] = d * (g * sigmoid);
  }
  T* out = static_cast<T*>(job.out) + row * 2 * job.width + column;
  store(out, grad_gate);
  store(out + job.width, grad_up);
}

template <typename Launch>
void launch_for(const SwiGlu& job, const Launch& launch) {
  if (job.num_rows == 0 || job.width == 0) return;
  const bool wide =
      fits_wide(job.is_bf16, {job.gate_up, job.grad, job.out},
                {job.width, job.gate_up_stride, job.grad == nullptr ? 0 : job.grad_stride});
  with_step(job.is_bf16, wide, [&](auto step) {
    launch(step, num_blocks(job.num_rows * (job.width / decltype(step)::kCount), kThreads));
  });
}

}  // namespace

void swiglu(const SwiGlu& job, cudaStream_t stream) {
  launch_for(job, [&](auto step, unsigned blocks) {
    using S = decltype(step);
    swiglu_kernel<typename S::Type, S::kCount><<<blocks, kThreads, 0, stream>>>(job);
  });
}

void swiglu_backward(const SwiGlu& job, cudaStream_t stream) {
  launch_for(job, [&](auto step, unsigned blocks) {
    using S = decltype(step);
    swiglu_backward_kernel<typename S::Type, S::kCount><<<blocks, kThreads, 0, stream>>>(job);
  });
}

}  // namespace longgen::cuda
