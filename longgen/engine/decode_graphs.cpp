#include "longgen/engine/decode_graphs.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ScopeExit.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/engine/put_drawn.h"
#include "longgen/model/rope_tables.h"

namespace longgen {
namespace {

/// The same memory, which the tensor need not keep: a graph does.
at::Tensor not_owned(const at::Tensor& x) {
  return at::for_blob(x.data_ptr(), x.sizes())
      .strides(x.strides())
      .options(x.options())
      .target_device(x.device())
      .make_tensor();
}

}  // namespace

DecodeGraph& DecodeGraphTable::get(int64_t num_rows, const Record& record) {
  const auto found = graphs_.find(num_rows);
  if (found != graphs_.end()) return found->second;
  GpuGraph* const beside = graphs_.empty() ? nullptr : graphs_.begin()->second.graph.get();
  return graphs_.emplace(num_rows, record(beside)).first->second;
}

DecodeGraphs::DecodeGraphs(const Decoder& decoder, const KvLayout& layout, PagePool& pool)
    : decoder_(decoder),
      layout_(layout),
      pool_(pool),
      tables_(layout, decoder.device(), kMostSequences) {}

/// Records with the tables of the pass that has begun. The first of its two runs writes what token
/// 0 gives to the pages of the new tokens, which the step itself writes again.
DecodeGraph DecodeGraphs::record(int64_t num_rows, GpuGraph* beside) {
  DecodeGraph result;
  result.inputs_2B =
      at::zeros({2, num_rows}, at::TensorOptions(decoder_.device()).dtype(at::kLong));
  result.graph = gpu_backend().record(
      decoder_.device(),
      [&] {
        const RopeTables ropes = make_rope_tables(result.inputs_2B[1], decoder_.config());
        result.logits_BV =
            not_owned(decoder_.logits(decoder_.forward(result.inputs_2B[0], context_, ropes)));
      },
      beside);
  return result;
}

DecodeGraph& DecodeGraphs::graph(int64_t num_rows) {
  return graphs_.get(num_rows, [&](GpuGraph* beside) { return record(num_rows, beside); });
}

void DecodeGraphs::record_all(int64_t max_sequences) {
  const at::NoGradGuard no_grad;
  const auto cancel = c10::make_scope_exit([this] { context_.cancel(); });
  // Graphs are told where the first page lies, so there must have been one.
  std::vector<PageId> pages;
  LG_CHECK(pool_.allocate(1, pages), "[engine] the GPU has no memory for a page of ",
           pool_.page_bytes(), " bytes.");
  pool_.release(pages.front());
  SequenceCache nobody(layout_, pool_);
  const int64_t most =
      DecodeGraphTable::rows_for(std::clamp<int64_t>(max_sequences, 1, kMostSequences));
  for (int64_t num_rows = most; num_rows >= 1; num_rows /= 2) {  // smaller ones find their memory
    if (context_.begin({{&nobody, 0}}, tables_, num_rows)) (void)graph(num_rows);
    context_.cancel();
  }
}

std::optional<at::Tensor> DecodeGraphs::step(std::vector<PassPart> parts,
                                             std::span<const int32_t> tokens, bool keep_dead,
                                             const at::Tensor& drawn_S) {
  const at::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(parts.size());
  LG_DCHECK(static_cast<int64_t>(tokens.size()) == count && count <= kMostSequences);
  const int64_t num_rows = DecodeGraphTable::rows_for(count);
  const at::Tensor inputs_2B =
      at::zeros({2, num_rows}, at::TensorOptions().dtype(at::kLong).pinned_memory(true));
  auto* const values = inputs_2B.data_ptr<int64_t>();
  for (int64_t n = 0; n < count; ++n) {
    values[n] = tokens[n];
    values[num_rows + n] = parts[n].cache->length();
  }
  const auto cancel = c10::make_scope_exit([this] { context_.cancel(); });
  if (!context_.begin(std::move(parts), tables_, num_rows)) return std::nullopt;
  DecodeGraph& step = graph(num_rows);
  step.inputs_2B.copy_(inputs_2B, /*non_blocking=*/true);
  if (drawn_S.defined()) put_drawn(step.inputs_2B[0], drawn_S);
  step.graph->replay();
  context_.commit(keep_dead);
  return step.logits_BV.narrow(0, 0, count);
}

void DecodeGraphs::wait() {
  const c10::impl::VirtualGuardImpl gpu(c10::kCUDA);
  gpu.synchronizeStream(gpu.getStream(decoder_.device()));
}

}  // namespace longgen
