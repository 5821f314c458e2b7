// The one function that the GPU plug-in exports: the table of what the folders' cuda/ parts offer.
#include "longgen/device/cuda/graph.h"
#include "longgen/device/cuda/properties.h"
#include "longgen/engine/cuda/binding.h"
#include "longgen/kv_cache/cuda/binding.h"
#include "longgen/ops/cuda/binding.h"

namespace longgen {

extern "C" const GpuBackend* longgen_gpu_backend(int version);  // a GpuBackendFunction

const GpuBackend* longgen_gpu_backend(int version) {
  static const GpuBackend backend = {.properties = cuda::gpu_properties,
                                     .record = cuda::record_graph,
                                     .ops = cuda::ops(),
                                     .cache = cuda::cache(),
                                     .draws = cuda::draws()};
  return version == GpuBackend::kVersion ? &backend : nullptr;
}

}  // namespace longgen
