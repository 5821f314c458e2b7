// kv_cache/paged_attention.h: how a layer's new K and V get to the pages of a pass, and its queries
// attend to them. There is one class for the CPU (cpu_paged_attention.h) and one for GPUs
// (gpu_paged_attention.h).
#pragma once

#include "longgen/kv_cache/cache_pass.h"
#include "longgen/model/attention_context.h"

namespace longgen {

/// A layer's number, and what its queries see.
struct LayerOfPass {
  int64_t index;
  const Pattern& pattern;
};

/// Nothing is checked here: CachedContext has seen that tensors are where the pages are and fit the
/// layout.
class PagedAttention {
 public:
  virtual ~PagedAttention() = default;

  /// Gets ready for the layers of a pass.
  virtual void begin(const CachePass& pass) = 0;

  /// Writes k and v (T, K, D), and attends with q (T, H, D); returns (T, H, D).
  virtual at::Tensor attend(const CachePass& pass, const LayerOfPass& layer,
                            const at::Tensor& q_THD, const at::Tensor& k_TKD,
                            const at::Tensor& v_TKD) = 0;

  /// Does prepare_heads(), then attend(). To be overridden where both need fewer ways through
  /// memory than one after the other.
  virtual at::Tensor prepare_and_attend(const CachePass& pass, const LayerOfPass& layer,
                                        const at::Tensor& heads_TAD, int64_t num_heads,
                                        const HeadPreparation& preparation) {
    const RotatedHeads heads = prepare_heads(heads_TAD, num_heads, preparation);
    return attend(pass, layer, heads.q_THD, heads.k_TKD, heads.v_TKD);
  }
};

}  // namespace longgen
