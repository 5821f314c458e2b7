// device/cuda/graph.h: CUDA graphs through torch, which keeps their memory.
#pragma once

#include "longgen/device/gpu_backend.h"

namespace longgen::cuda {

/// Is GpuBackend::record.
std::unique_ptr<GpuGraph> record_graph(c10::Device device, const std::function<void()>& run,
                                       GpuGraph* beside);

}  // namespace longgen::cuda
