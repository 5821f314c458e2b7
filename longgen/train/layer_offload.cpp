#include "longgen/train/layer_offload.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "longgen/base/check.h"

namespace longgen {

LayerOffload::LayerOffload(at::Device device)
    : device_(device),
      side_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)) {}

c10::Stream LayerOffload::current_stream() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
}

LayerOffload::Copy LayerOffload::copy(int64_t layer, const at::Tensor& x, const at::Tensor& from,
                                      at::Tensor to) {
  const at::NoGradGuard no_grad;
  // Work on what x's memory held before, and the kernel that writes x, must be done first.
  c10::Event ready(device_.type());
  ready.record(current_stream());
  ready.block(side_);
  const c10::StreamGuard on_side(side_);
  to.copy_(from, /*non_blocking=*/true);
  c10::Event done(device_.type());
  done.record(side_);
  return {layer, x, std::move(done)};
}

/// x's memory goes back to the current stream, which must not write to it before it is copied.
void LayerOffload::finish_storing() {
  if (!storing_) return;
  storing_->done.block(current_stream());
  storing_.reset();
}

at::Tensor LayerOffload::host_memory(int64_t layer, const at::Tensor& x) {
  const auto index = static_cast<size_t>(layer);
  if (index >= buffers_.size()) {
    buffers_.resize(index + 1);
    stored_.resize(index + 1);
  }
  at::Tensor& buffer = buffers_[index];
  const bool fits =
      buffer.defined() && buffer.scalar_type() == x.scalar_type() && buffer.numel() >= x.numel();
  if (!fits) {
    buffer = at::empty({x.numel()}, at::TensorOptions().dtype(x.scalar_type()).pinned_memory(true));
  }
  stored_[index] = buffer.narrow(0, 0, x.numel()).view(x.sizes());
  return stored_[index];
}

void LayerOffload::store(int64_t layer, const at::Tensor& x) {
  finish_storing();
  const at::Tensor source = x.contiguous();
  storing_ = copy(layer, source, source, host_memory(layer, source));
}

void LayerOffload::fetch(int64_t layer) {
  finish_storing();
  const at::Tensor& from = stored_.at(static_cast<size_t>(layer));
  const at::Tensor x = at::empty(from.sizes(), from.options().device(device_).pinned_memory(false));
  fetching_ = copy(layer, x, from, x);
}

at::Tensor LayerOffload::take(int64_t layer) {
  LG_DCHECK(fetching_ && fetching_->layer == layer);
  fetching_->done.block(current_stream());
  at::Tensor x = std::move(fetching_->x);
  fetching_.reset();
  return x;
}

}  // namespace longgen
