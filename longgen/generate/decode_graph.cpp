#include "longgen/generate/decode_graph.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

at::Tensor pinned(int64_t count, at::ScalarType type) {
  return at::empty({count}, at::TensorOptions().dtype(type).pinned_memory(true));
}

}  // namespace

DecodeGraph::DecodeGraph(const Decoder& decoder, SequenceCache& cache)
    : decoder_(decoder),
      cache_(cache),
      inputs_(at::empty({2}, at::TensorOptions(decoder.device()).dtype(at::kLong))),
      frequencies_(rope_frequencies(decoder.config().rope, decoder.config().head_size)) {}

void DecodeGraph::record() {
  graph_.reset();
  graph_ = gpu_cache().record([this] {
    const RopeTable rope = make_rope_table(inputs_.narrow(0, 1, 1), frequencies_,
                                           decoder_.config().rope.attention_factor);
    const at::Tensor hidden_TE = decoder_.forward(inputs_.narrow(0, 0, 1), context_, rope);
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
