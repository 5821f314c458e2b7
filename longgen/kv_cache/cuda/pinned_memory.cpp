#include "longgen/kv_cache/cuda/pinned_memory.h"

#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cstring>

namespace longgen::cuda {

PinnedMemory::~PinnedMemory() {
  const c10::cuda::CUDAGuard guard(gpu_);
  for (void* const slab : slabs_) cudaFreeHost(slab);
}

std::byte* PinnedMemory::add(int64_t bytes) {
  const c10::cuda::CUDAGuard guard(gpu_);
  void* slab = nullptr;
  if (cudaHostAlloc(&slab, static_cast<size_t>(bytes), cudaHostAllocDefault) != cudaSuccess) {
    cudaGetLastError();  // nobody else is to see it
    return nullptr;
  }
  slabs_.push_back(slab);
  return static_cast<std::byte*>(slab);
}

void PinnedMemory::copy(std::byte* to, const std::byte* from, int64_t bytes) const {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace longgen::cuda
