#include "longgen/kv_cache/gpu_paged_attention.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <optional>

#include "longgen/attention/operator.h"

namespace longgen {
namespace {

/// The first rows of all sequences that have rows, as AttendOptions::doc_starts.
at::Tensor first_rows(const CachePass& pass) {
  std::vector<int64_t> rows;
  for (const cpu::Sequence& sequence : pass.sequences) {
    if (sequence.num_rows > 0) rows.push_back(sequence.first_row);
  }
  const at::Tensor result = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
  std::copy(rows.begin(), rows.end(), result.data_ptr<int64_t>());
  return result;
}

LayerPages layer_pages(const CachePass& pass, const LayerAttention& layer) {
  const KvLayout::Slot slot = pass.layout().slot(layer.index);
  return {pass.pool().address(0) + slot.index * pass.layout().block_bytes(),
          pass.pool().page_bytes(), slot.group, layer.pattern};
}

}  // namespace

void GpuPagedAttention::begin(const CachePass& pass) {
  tables_ = PassTables::make(pass.parts, /*pinned=*/true).to(pass.pool().device());
}

/// Is the pass the first chunks of its sequences, and worth a kernel made for many rows? It need
/// not read its own keys back from the pages.
bool GpuPagedAttention::begins_sequences(const CachePass& pass) const {
  return tables_.max_tokens() > GpuCache::kFewTokens &&
         std::all_of(pass.sequences.begin(), pass.sequences.end(),
                     [](const cpu::Sequence& sequence) { return sequence.first_position == 0; });
}

at::Tensor GpuPagedAttention::attend(const CachePass& pass, const LayerAttention& layer,
                                     const at::Tensor& q_THD, const at::Tensor& k_TKD,
                                     const at::Tensor& v_TKD) {
  if (q_THD.size(0) == 0) return at::empty(q_THD.sizes(), q_THD.options());
  const LayerPages pages = layer_pages(pass, layer);
  const double scale = attend_scale(q_THD, layer.scale);
  gpu_cache().write(pages, tables_, k_TKD, v_TKD);
  if (begins_sequences(pass)) {
    return longgen::attend(q_THD, k_TKD, v_TKD, layer.pattern, {first_rows(pass), scale}).out_THD;
  }
  return gpu_cache().attend(pages, tables_, q_THD, scale, workspace_);
}

at::Tensor GpuPagedAttention::prepare_and_attend(const CachePass& pass, const LayerAttention& layer,
                                                 const at::Tensor& heads_TAD, int64_t num_heads,
                                                 const HeadPreparation& preparation) {
  if (heads_TAD.size(0) == 0 || begins_sequences(pass)) {
    return PagedAttention::prepare_and_attend(pass, layer, heads_TAD, num_heads, preparation);
  }
  const LayerPages pages = layer_pages(pass, layer);
  const at::Tensor q_THD =
      gpu_cache().prepare_and_write(pages, tables_, heads_TAD, num_heads, preparation);
  return gpu_cache().attend(pages, tables_, q_THD, attend_scale(q_THD, layer.scale), workspace_);
}

}  // namespace longgen
