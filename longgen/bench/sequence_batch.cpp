#include "longgen/bench/sequence_batch.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/engine/session.h"

namespace longgen {
namespace {

std::vector<SequenceCache*> addresses(const std::vector<std::unique_ptr<SequenceCache>>& caches) {
  std::vector<SequenceCache*> result;
  for (const auto& cache : caches) result.push_back(cache.get());
  return result;
}

[[noreturn]] void fail_out_of_memory(const PagePool& pool) {
  LG_FAIL("[bench model] out of memory: the KV cache holds ", format_bytes(pool.bytes_in_use()),
          " and cannot grow. Use fewer --tokens or a smaller --batch.");
}

}  // namespace

SequenceBatch::SequenceBatch(const Decoder& decoder, int64_t num_sequences, int64_t chunk)
    : decoder_(decoder),
      chunk_(chunk),
      layout_(decoder.config(), static_cast<int64_t>(c10::elementSize(decoder.dtype()))),
      pool_(layout_.page_bytes(), std::nullopt, page_memory(decoder)) {
  for (int64_t n = 0; n < num_sequences; ++n) {
    caches_.push_back(std::make_unique<SequenceCache>(layout_, pool_));
  }
  if (decoder.device().is_cuda()) {
    graph_ = std::make_unique<DecodeGraph>(decoder, addresses(caches_));
  }
}

at::Tensor SequenceBatch::run(std::vector<PassPart> parts, const at::Tensor& tokens_T) {
  const at::NoGradGuard no_grad;
  if (!context_.begin(std::move(parts))) fail_out_of_memory(pool_);
  const at::Tensor hidden_TE = decoder_.forward(tokens_T, context_);
  context_.commit();
  return hidden_TE;
}

at::Tensor SequenceBatch::append(int64_t sequence, std::span<const int32_t> tokens) {
  const auto count = static_cast<int64_t>(tokens.size());
  const at::Tensor host_T = at::empty({count}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), host_T.data_ptr<int64_t>());
  const at::Tensor tokens_T = host_T.to(decoder_.device());
  at::Tensor hidden_TE;
  for (int64_t first = 0; first < count; first += chunk_) {
    const int64_t rows = std::min(chunk_, count - first);
    hidden_TE = run({{caches_[sequence].get(), rows}}, tokens_T.narrow(0, first, rows));
  }
  const at::NoGradGuard no_grad;
  return decoder_.logits(hidden_TE.narrow(0, hidden_TE.size(0) - 1, 1)).view({-1}).to(at::kCPU);
}

at::Tensor SequenceBatch::step(int32_t token) {
  if (graph_ != nullptr) {
    const auto logits_BV = graph_->step(std::vector<int32_t>(caches_.size(), token));
    if (!logits_BV) fail_out_of_memory(pool_);
    return *logits_BV;
  }
  std::vector<PassPart> parts;
  for (const auto& cache : caches_) parts.push_back({cache.get(), 1});
  const at::NoGradGuard no_grad;
  return decoder_.logits(run(std::move(parts), at::full({num_sequences()}, token, at::kLong)));
}

void SequenceBatch::clear() {
  for (const auto& cache : caches_) cache->clear();
}

}  // namespace longgen
