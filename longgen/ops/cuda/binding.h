// ops/cuda/binding.h: the folder's part of the GPU plug-in.
#pragma once

#include "longgen/ops/gpu_ops.h"

namespace longgen::cuda {

/// Is GpuBackend::ops.
const gpu::Ops& ops();

}  // namespace longgen::cuda
