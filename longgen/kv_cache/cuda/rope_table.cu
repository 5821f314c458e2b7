// Cosines and sines of positions that only the GPU knows: inside a CUDA graph.
#include "longgen/kv_cache/cuda/kernels.h"

namespace longgen::cuda {
namespace {

constexpr int kThreads = 128;

/// Angles in double: bf16 and fp32 ones are wrong at long positions.
__global__ void __launch_bounds__(kThreads)
    rope_table_kernel(const int64_t* positions, int64_t count, const double* frequencies, int half,
                      double factor, float* cos_out, float* sin_out) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  double sine, cosine;
  sincos(static_cast<double>(positions[i / half]) * frequencies[i % half], &sine, &cosine);
  cos_out[i] = static_cast<float>(factor * cosine);
  sin_out[i] = static_cast<float>(factor * sine);
}

}  // namespace

cudaError_t rope_table(const int64_t* positions, int64_t num_tokens, const double* frequencies,
                       int half, double factor, float* cos, float* sin, cudaStream_t stream) {
  const int64_t count = num_tokens * half;
  if (count == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  rope_table_kernel<<<blocks, kThreads, 0, stream>>>(positions, count, frequencies, half, factor,
                                                     cos, sin);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
