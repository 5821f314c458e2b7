#include "longgen/engine/decode_graphs.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ScopeExit.h>

#include "longgen/base/check.h"
#include "longgen/model/rope_tables.h"

namespace longgen {

DecodeGraph& DecodeGraphTable::get(int64_t num_sequences, bool tables_moved, const Record& record) {
  if (tables_moved) graphs_.clear();
  const auto found = graphs_.find(num_sequences);
  if (found != graphs_.end()) return found->second;
  return graphs_.emplace(num_sequences, record()).first->second;
}

DecodeGraphs::DecodeGraphs(const Decoder& decoder) : decoder_(decoder) {}

DecodeGraph DecodeGraphs::record(int64_t num_sequences, const at::Tensor& inputs_2B) {
  DecodeGraph result;
  result.inputs_2B = at::empty({2, num_sequences}, inputs_2B.options().device(decoder_.device()));
  result.inputs_2B.copy_(inputs_2B, /*non_blocking=*/true);
  result.graph = gpu_backend().record(decoder_.device(), [&] {
    const RopeTables ropes = make_rope_tables(result.inputs_2B[1], decoder_.config());
    result.logits_BV = decoder_.logits(decoder_.forward(result.inputs_2B[0], context_, ropes));
  });
  return result;
}

std::optional<at::Tensor> DecodeGraphs::step(std::vector<PassPart> parts,
                                             std::span<const int32_t> tokens, bool keep_dead) {
  const at::NoGradGuard no_grad;
  const size_t count = parts.size();
  LG_DCHECK(tokens.size() == count);
  if (is_running_) wait();  // it reads tables that are written now
  const at::Tensor inputs_2B = at::empty({2, static_cast<int64_t>(count)},
                                         at::TensorOptions().dtype(at::kLong).pinned_memory(true));
  auto* const values = inputs_2B.data_ptr<int64_t>();
  for (size_t n = 0; n < count; ++n) {
    values[n] = tokens[n];
    values[count + n] = parts[n].cache->length();
  }
  const auto cancel = c10::make_scope_exit([this] { context_.cancel(); });
  bool tables_moved = false;
  if (!context_.begin(std::move(parts), tables_, tables_moved)) return std::nullopt;
  is_running_ = true;
  DecodeGraph& step = graphs_.get(static_cast<int64_t>(count), tables_moved,
                                  [&] { return record(static_cast<int64_t>(count), inputs_2B); });
  step.inputs_2B.copy_(inputs_2B, /*non_blocking=*/true);
  step.graph->replay();
  context_.commit(keep_dead);
  return step.logits_BV;
}

void DecodeGraphs::wait() {
  const c10::impl::VirtualGuardImpl gpu(c10::kCUDA);
  gpu.synchronizeStream(gpu.getStream(decoder_.device()));
  is_running_ = false;
}

}  // namespace longgen
