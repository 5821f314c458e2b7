#include "longgen/device/cuda/properties.h"

#include <cuda_runtime_api.h>

#include "longgen/base/check.h"

namespace longgen::cuda {

GpuProperties gpu_properties(c10::Device device) {
  cudaDeviceProp properties = {};
  const cudaError_t error = cudaGetDeviceProperties(&properties, device.index());
  LG_CHECK(error == cudaSuccess, "[gpu] CUDA: ", cudaGetErrorString(error), " (", device.str(),
           ").");
  return {.name = properties.name,
          .major = properties.major,
          .minor = properties.minor,
          .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem)};
}

}  // namespace longgen::cuda
