// tests/gpu/paged_layer.h: one attention layer with its keys in pages on the GPU, and the same keys
// on the CPU, for tests and benchmarks of the kernels.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/kv_cache/gpu_cache.h"
#include "longgen/kv_cache/page_layout.h"
#include "longgen/kv_cache/pass_tables.h"
#include "longgen/kv_cache/sequence_cache.h"

namespace longgen {

struct LayerShape {
  int64_t num_heads, num_kv_heads, head_size;
  std::string pattern;
};

class PagedLayer {
 public:
  PagedLayer(const LayerShape& shape, int64_t num_sequences,
             std::optional<int64_t> max_bytes = std::nullopt)
      : shape_(shape),
        pattern_(Pattern::parse(shape.pattern).for_heads(shape.num_kv_heads)),
        layout_(plan_of(pattern_), {1, shape.num_kv_heads, shape.head_size, 2}),
        pool_(layout_.page_bytes(), max_bytes, gpu_cache().new_memory(max_bytes)) {
    for (int64_t n = 0; n < num_sequences; ++n) {
      caches_.push_back(std::make_unique<SequenceCache>(layout_, pool_));
    }
  }

  const Pattern& pattern() const { return pattern_; }
  const KvLayout& layout() const { return layout_; }
  PagePool& pool() { return pool_; }
  SequenceCache& cache(int64_t n) { return *caches_[n]; }

  /// Reserves counts[n] tokens for sequence n.
  std::vector<PassPart> reserve(const std::vector<int64_t>& counts) {
    std::vector<PassPart> parts;
    for (size_t n = 0; n < counts.size(); ++n) {
      LG_CHECK(caches_[n]->reserve(counts[n]), "the pool is full");
      parts.push_back({caches_[n].get(), counts[n]});
    }
    return parts;
  }
  void commit(const std::vector<PassPart>& parts) {
    for (const PassPart& part : parts) part.cache->commit();
  }
  LayerPages pages() const {
    return {pool_.address(0), pool_.page_bytes(), 0, pattern_};
  }

  /// All pages that exist, (pages, values) bf16.
  torch::Tensor memory(int64_t num_pages) const {
    return at::for_blob(pool_.address(0), {num_pages, pool_.page_bytes() / 2})
        .options(torch::TensorOptions().dtype(torch::kBFloat16).device(torch::kCUDA, 0))
        .target_device(torch::Device(torch::kCUDA, 0))
        .make_tensor();
  }
  /// (64, D) keys, or values, of a page as they were before they were laid out in panels.
  torch::Tensor block(const torch::Tensor& page_values, bool values) const {
    const int64_t panels = shape_.head_size / 64;
    const torch::Tensor side = page_values.view({2, panels, 64, 8, 8})[values ? 1 : 0];
    // Chunk c of row r lies at c ^ (r % 8).
    const torch::Tensor row = torch::arange(64).unsqueeze(1), chunk = torch::arange(8);
    const torch::Tensor at = row.remainder(8).bitwise_xor(chunk).to(side.device());
    return side.take_along_dim(at.view({1, 64, 8, 1}).expand({panels, 64, 8, 8}), 2)
        .permute({1, 0, 2, 3})
        .reshape({64, shape_.head_size});
  }

 private:
  static LayerPlan plan_of(const Pattern& pattern) {
    return pattern.is_full() ? LayerPlan::all_full(1) : LayerPlan{{}, pattern};
  }

  LayerShape shape_;
  Pattern pattern_;
  KvLayout layout_;
  PagePool pool_;
  std::vector<std::unique_ptr<SequenceCache>> caches_;
};

}  // namespace longgen
