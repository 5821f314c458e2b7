#include "longgen/generate/decode_graph.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

at::Tensor pinned(int64_t count, at::ScalarType type) {
  return at::empty({count}, at::TensorOptions().dtype(type).pinned_memory(true));
}

at::Tensor frequencies_on(at::Device device, const ModelConfig& config) {
  const auto frequencies = rope_frequencies(config.rope, config.head_size);
  const at::Tensor on_host = at::empty({static_cast<int64_t>(frequencies.size())}, at::kDouble);
  std::copy(frequencies.begin(), frequencies.end(), on_host.data_ptr<double>());
  return on_host.to(device);
}

}  // namespace

DecodeGraph::DecodeGraph(const Decoder& decoder, SequenceCache& cache)
    : decoder_(decoder), cache_(cache) {
  const auto on_gpu = at::TensorOptions(decoder.weights().embedding_VE.device());
  frequencies_ = frequencies_on(on_gpu.device(), decoder.config());
  inputs_ = at::empty({2}, on_gpu.dtype(at::kLong));
  rope_.cos_TD = at::empty({1, frequencies_.size(0)}, on_gpu.dtype(at::kFloat));
  rope_.sin_TD = at::empty({1, frequencies_.size(0)}, on_gpu.dtype(at::kFloat));
}

void DecodeGraph::record() {
  graph_.reset();
  graph_ = gpu_cache().record([this] {
    gpu_cache().rope_table(inputs_.narrow(0, 1, 1), frequencies_,
                           decoder_.config().rope.attention_factor, rope_.cos_TD, rope_.sin_TD);
    const at::Tensor hidden_TE = decoder_.forward(inputs_.narrow(0, 0, 1), context_, rope_);
    logits_V_ = decoder_.logits(hidden_TE).view({-1});
  });
}

std::optional<at::Tensor> DecodeGraph::step(int32_t token) {
  const at::NoGradGuard no_grad;
  bool must_record = false;
  if (!context_.begin({{&cache_, 1}}, tables_, must_record)) return std::nullopt;
  const at::Tensor inputs = pinned(2, at::kLong);
  inputs.data_ptr<int64_t>()[0] = token;
  inputs.data_ptr<int64_t>()[1] = cache_.length();
  inputs_.copy_(inputs, /*non_blocking=*/true);
  if (must_record || graph_ == nullptr) record();
  graph_->replay();
  const at::Tensor logits_V = pinned(logits_V_.numel(), at::kFloat);
  logits_V.copy_(logits_V_, /*non_blocking=*/true);
  const c10::impl::VirtualGuardImpl gpu(c10::kCUDA);
  gpu.synchronizeStream(gpu.getStream(logits_V_.device()));
  context_.commit();
  return logits_V;
}

}  // namespace longgen
