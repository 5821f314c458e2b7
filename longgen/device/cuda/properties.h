// device/cuda/properties.h: what the driver says about a GPU.
#pragma once

#include "longgen/device/gpu_backend.h"

namespace longgen::cuda {

/// Is GpuBackend::properties.
GpuProperties gpu_properties(c10::Device device);

}  // namespace longgen::cuda
