// kv_cache/paged_layer.h: one attention layer with its keys in pages on the GPU, and a look at what
// stands in them, for benchmarks and tests of the kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  /// Begins with empty sequences, on a GPU.
  PagedLayer(const LayerShape& shape, int64_t num_sequences, at::Device device,
             std::optional<int64_t> max_bytes = std::nullopt);

  const Pattern& pattern() const { return pattern_; }
  const KvLayout& layout() const { return layout_; }
  PagePool& pool() { return pool_; }
  SequenceCache& cache(int64_t n) { return *caches_[n]; }

  /// Reserves counts[n] tokens for sequence n.
  std::vector<PassPart> reserve(const std::vector<int64_t>& counts);
  static void commit(const std::vector<PassPart>& parts);
  LayerPages pages() const;

  /// All pages that exist, as (pages, values) in bf16.
  at::Tensor memory(int64_t num_pages) const;
  /// (64, D) keys, or values, of a page as they were before they were laid out in panels.
  at::Tensor block(const at::Tensor& page_values, bool values) const;

 private:
  LayerShape shape_;
  Pattern pattern_;
  KvLayout layout_;
  PagePool pool_;
  std::vector<std::unique_ptr<SequenceCache>> caches_;
};

}  // namespace longgen
