#include "longgen/engine/decode_graph.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "longgen/base/check.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions().dtype(type).pinned_memory(true));
}

}  // namespace

DecodeGraph::DecodeGraph(const Decoder& decoder, std::vector<SequenceCache*> caches)
    : decoder_(decoder),
      caches_(std::move(caches)),
      inputs_(at::empty({2, static_cast<int64_t>(caches_.size())},
                        at::TensorOptions(decoder.device()).dtype(at::kLong))),
      frequencies_(rope_frequencies(decoder.config().rope, decoder.config().head_size)) {}

void DecodeGraph::record() {
  graph_.reset();
  graph_ = gpu_backend().record(decoder_.device(), [this] {
    const RopeTable rope =
        make_rope_table(inputs_[1], frequencies_, decoder_.config().rope.attention_factor);
    logits_BV_ = decoder_.logits(decoder_.forward(inputs_[0], context_, rope));
  });
}

std::optional<at::Tensor> DecodeGraph::step(std::span<const int32_t> tokens) {
  const at::NoGradGuard no_grad;
  const size_t count = caches_.size();
  LG_DCHECK(tokens.size() == count);
  std::vector<PassPart> parts;
  for (SequenceCache* const cache : caches_) parts.push_back({cache, 1});
  bool must_record = false;
  if (!context_.begin(std::move(parts), tables_, must_record)) return std::nullopt;
  const at::Tensor inputs = pinned(inputs_.sizes(), at::kLong);
  auto* const values = inputs.data_ptr<int64_t>();
  for (size_t n = 0; n < count; ++n) {
    values[n] = tokens[n];
    values[count + n] = caches_[n]->length();
  }
  inputs_.copy_(inputs, /*non_blocking=*/true);
  if (must_record || graph_ == nullptr) record();
  graph_->replay();
  const at::Tensor logits_BV = pinned(logits_BV_.sizes(), at::kFloat);
  logits_BV.copy_(logits_BV_, /*non_blocking=*/true);
  const c10::impl::VirtualGuardImpl gpu(c10::kCUDA);
  gpu.synchronizeStream(gpu.getStream(logits_BV_.device()));
  context_.commit();
  return logits_BV;
}

}  // namespace longgen
