#include "longgen/device/cuda/graph.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace longgen::cuda {
namespace {

class Graph : public GpuGraph {
 public:
  explicit Graph(c10::Device device) : device_(device) {}
  void record(const std::function<void()>& run) {
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      run();
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }
  void replay() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_.replay();
  }

 private:
  c10::Device device_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<GpuGraph> record_graph(c10::Device device, const std::function<void()>& run) {
  const c10::cuda::CUDAStream outer = c10::cuda::getCurrentCUDAStream(device.index());
  // The default stream cannot be captured.
  const c10::cuda::CUDAStream inner =
      c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
  at::cuda::CUDAEvent before, after;
  before.record(outer);
  before.block(inner);
  auto graph = std::make_unique<Graph>(device);
  {
    const c10::cuda::CUDAStreamGuard guard(inner);
    run();  // libraries allocate and choose algorithms in their first call
    inner.synchronize();
    graph->record(run);
    after.record(inner);
  }
  after.block(outer);
  return graph;
}

}  // namespace longgen::cuda
