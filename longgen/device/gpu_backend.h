// device/gpu_backend.h: the one seam between the program and the GPU plug-in. The program links
// nothing of CUDA: what runs on a GPU, it calls through these functions, which the plug-in gives.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace longgen {

namespace gpu {
struct Ops;    // ops/gpu_ops.h
struct Draws;  // engine/gpu_draws.h
}  // namespace gpu
class GpuCache;  // kv_cache/gpu_cache.h

struct GpuProperties {
  std::string name;          ///< "NVIDIA H200"
  int major = 0, minor = 0;  ///< compute capability
  int64_t memory_bytes = 0;
};

/// Work that was recorded once and is done again by replay(), on the memory it was recorded with.
class GpuGraph {
 public:
  virtual ~GpuGraph() = default;
  /// Runs what was recorded, on the current stream of its device, and does not wait for it.
  virtual void replay() = 0;
};

/// What the plug-in offers. Its members are references, so that a table with a gap does not
/// compile.
struct GpuBackend {
  /// Changes whenever this struct, or one that it refers to, does: a plug-in of another build is
  /// refused instead of being called wrongly.
  static constexpr int kVersion = 4;

  /// Throws Error where there is no such device.
  GpuProperties (&properties)(c10::Device device);
  /// Calls run() twice, once to warm up, once to record what it launches on the device. What it
  /// allocates and does not free stays reserved for the graph. It must not wait for the GPU. With
  /// `beside`, a graph that never runs at the same time and whose results are read before this one
  /// runs, both share one memory: what the recording of either has freed may serve the other.
  std::unique_ptr<GpuGraph> (&record)(c10::Device device, const std::function<void()>& run,
                                      GpuGraph* beside);
  const gpu::Ops& ops;
  const GpuCache& cache;
  const gpu::Draws& draws;
};

/// The one function that the plug-in exports: its backend, or null where `version` is not the one
/// that it was built with.
using GpuBackendFunction = const GpuBackend*(int version);
inline constexpr const char* kGpuBackendFunction = "longgen_gpu_backend";

/// The backend of the plug-in that load_gpu_plugin() has loaded; null before, and where there is
/// none.
const GpuBackend* find_gpu_backend();
/// Throws Error where there is none.
const GpuBackend& gpu_backend();

}  // namespace longgen
