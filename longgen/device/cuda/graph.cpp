#include "longgen/device/cuda/graph.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace longgen::cuda {
namespace {

class Graph : public GpuGraph {
 public:
  /// Records on `stream`, in memory of its own or, if not null, in that of `beside`.
  Graph(c10::cuda::CUDAStream stream, Graph* beside)
      : stream_(stream),
        pool_(beside != nullptr ? beside->graph_.pool() : c10::MempoolId_t{0, 0}) {}
  const c10::cuda::CUDAStream& stream() const { return stream_; }
  void record(const std::function<void()>& run) {
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    try {
      run();
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }
  void replay() override {
    const c10::cuda::CUDAGuard guard(stream_.device());
    graph_.replay();
  }

 private:
  c10::cuda::CUDAStream stream_;
  c10::MempoolId_t pool_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<GpuGraph> record_graph(c10::Device device, const std::function<void()>& run,
                                       GpuGraph* beside) {
  const c10::cuda::CUDAStream outer = c10::cuda::getCurrentCUDAStream(device.index());
  auto* const other = dynamic_cast<Graph*>(beside);
  // The default stream cannot be captured. Libraries keep memory for each stream that they see.
  const c10::cuda::CUDAStream inner =
      other != nullptr ? other->stream()
                       : c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
  at::cuda::CUDAEvent before, after;
  before.record(outer);
  before.block(inner);
  auto graph = std::make_unique<Graph>(inner, other);
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
