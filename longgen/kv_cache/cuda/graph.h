// kv_cache/cuda/graph.h: CUDA graphs through torch, which keeps their memory.
#pragma once

#include <functional>
#include <memory>

#include "longgen/kv_cache/gpu_cache.h"

namespace longgen::cuda {

std::unique_ptr<GpuGraph> record_graph(const std::function<void()>& run);

}  // namespace longgen::cuda
