// train/layer_offload.h: inputs of layers wait for the backward pass in pinned host memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace longgen {

/// Copies tensors of a GPU to the host and back on a stream of its own, while the current stream
/// computes. On the GPU stand only the tensor that is being stored and the one that is being
/// fetched. The host's memory is allocated in the first pass (slowly, because it is pinned; its
/// allocator rounds up to powers of two) and used again by the later ones: keep one of these for a
/// run. For GPUs only. One thread at a time.
class LayerOffload {
 public:
  explicit LayerOffload(at::Device device);

  /// Begins to copy x, which nobody changes any more, once what the current stream has in its queue
  /// is done.
  void store(int64_t layer, const at::Tensor& x);
  /// Begins to copy the layer's tensor back.
  void fetch(int64_t layer);
  /// The tensor of the last fetch(), which must have been this layer's: what the current stream
  /// gets to do from now on waits for it.
  at::Tensor take(int64_t layer);

 private:
  /// A copy under way; `x` is on the GPU.
  struct Copy {
    int64_t layer;
    at::Tensor x;
    c10::Event done;
  };
  c10::Stream current_stream() const;
  Copy copy(int64_t layer, const at::Tensor& x, const at::Tensor& from, at::Tensor to);
  void finish_storing();
  at::Tensor host_memory(int64_t layer, const at::Tensor& x);

  at::Device device_;
  c10::Stream side_;
  std::vector<at::Tensor> buffers_;  // flat, of each layer
  std::vector<at::Tensor> stored_;   // views of them, in the shapes of this pass
  std::optional<Copy> storing_, fetching_;
};

}  // namespace longgen
