// engine/cuda/binding.h: the folder's part of the GPU plug-in.
#pragma once

#include "longgen/engine/gpu_draws.h"

namespace longgen::cuda {

/// Is GpuBackend::draws.
const gpu::Draws& draws();

}  // namespace longgen::cuda
