#include "longgen/kv_cache/gpu_cache.h"

#include "longgen/attention/gpu_parts.h"
#include "longgen/base/check.h"

namespace longgen {

const GpuCache& gpu_cache() {
  const void* const part = find_gpu_part(kGpuCachePart);
  LG_CHECK(part != nullptr,
           "[kv cache] a KV cache on a GPU needs the GPU plug-in, which is not loaded. Call "
           "load_gpu_plugin() first.");
  return *static_cast<const GpuCache*>(part);
}

}  // namespace longgen
