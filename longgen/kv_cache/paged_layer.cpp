#include "longgen/kv_cache/paged_layer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>

#include "longgen/base/check.h"

namespace longgen {
namespace {

LayerPlan plan_of(const Pattern& pattern) {
  if (pattern.is_window()) return LayerPlan::all_full(1).with_windows({0}, pattern.window_tokens());
  return pattern.is_full() ? LayerPlan::all_full(1) : LayerPlan::hybrid(1, {}, pattern);
}

}  // namespace

PagedLayer::PagedLayer(const LayerShape& shape, int64_t num_sequences, at::Device device,
                       std::optional<int64_t> max_bytes)
    : shape_(shape),
      pattern_(Pattern::parse(shape.pattern).for_heads(shape.num_kv_heads)),
      layout_(plan_of(pattern_), {1, shape.num_kv_heads, shape.head_size, PageType::kBfloat16}),
      pool_(layout_.page_bytes(), max_bytes, gpu_cache().new_memory(device, max_bytes)) {
  for (int64_t n = 0; n < num_sequences; ++n) {
    caches_.push_back(std::make_unique<SequenceCache>(layout_, pool_));
  }
}

std::vector<PassPart> PagedLayer::reserve(const std::vector<int64_t>& counts) {
  std::vector<PassPart> parts;
  for (size_t n = 0; n < counts.size(); ++n) {
    LG_CHECK(caches_[n]->reserve(counts[n]), "[kv cache] the GPU's memory does not hold ",
             counts.size(), " sequences of ", caches_[n]->length() + counts[n], " tokens.");
    parts.push_back({caches_[n].get(), counts[n]});
  }
  return parts;
}

void PagedLayer::commit(const std::vector<PassPart>& parts) {
  for (const PassPart& part : parts) part.cache->commit();
}

LayerPages PagedLayer::pages() const { return {pool_.address(0), pool_.page_bytes(), 0, pattern_}; }

at::Tensor PagedLayer::memory(int64_t num_pages) const {
  return at::for_blob(pool_.address(0), {num_pages, pool_.page_bytes() / 2})
      .options(at::TensorOptions().dtype(at::kBFloat16).device(pool_.device()))
      .target_device(pool_.device())
      .make_tensor();
}

at::Tensor PagedLayer::block(const at::Tensor& page_values, bool values) const {
  const int64_t panels = shape_.head_size / 64;
  const at::Tensor side = page_values.view({2, panels, 64, 8, 8})[values ? 1 : 0];
  // Chunk c of row r lies at c ^ (r % 8).
  const at::Tensor row = at::arange(64).unsqueeze(1), chunk = at::arange(8);
  const at::Tensor place = row.remainder(8).bitwise_xor(chunk).to(side.device());
  return side.take_along_dim(place.view({1, 64, 8, 1}).expand({panels, 64, 8, 8}), 2)
      .permute({1, 0, 2, 3})
      .reshape({64, shape_.head_size});
}

}  // namespace longgen
