// attention/cuda/launch.cuh: how kernels with one CTA a multiprocessor are started.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

namespace longgen::cuda {

/// The shared memory of a kernel that has no other. It begins at a multiple of 1,024 bytes, as
/// swizzled tiles need it.
template <typename Shared>
__device__ __forceinline__ Shared& whole_shared() {
  extern __shared__ __align__(1024) uint8_t memory[];
  return *reinterpret_cast<Shared*>(memory);
}

/// How many multiprocessors the current device has.
inline int num_multiprocessors() {
  int device = 0, count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

/// Starts one CTA for each multiprocessor, or fewer where there are fewer items.
template <typename Shared, typename Arguments>
cudaError_t launch_persistent(void (*kernel)(Arguments), const Arguments& arguments, int num_items,
                              int threads, cudaStream_t stream) {
  if (num_items == 0) return cudaSuccess;
  constexpr int kBytes = sizeof(Shared);
  static_assert(kBytes <= 227 * 1024);
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  kernel<<<std::min(num_items, num_multiprocessors()), threads, kBytes, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
