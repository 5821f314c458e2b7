// kv_cache/cuda/binding.h: the folder's part of the GPU plug-in.
#pragma once

#include "longgen/kv_cache/gpu_cache.h"

namespace longgen::cuda {

/// Is GpuBackend::cache.
const GpuCache& cache();

}  // namespace longgen::cuda
