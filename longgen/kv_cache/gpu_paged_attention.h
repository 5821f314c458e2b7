// kv_cache/gpu_paged_attention.h: attention to pages in the memory of a GPU, by the kernels of the
// plug-in.
#pragma once

#include "longgen/kv_cache/gpu_cache.h"
#include "longgen/kv_cache/paged_attention.h"
#include "longgen/kv_cache/pass_tables.h"

namespace longgen {

class GpuPagedAttention : public PagedAttention {
 public:
  void begin(const CachePass& pass) override;
  /// Does the same with tables that are on the GPU already.
  void begin(const PassTables& tables) { tables_ = tables; }

  at::Tensor attend(const CachePass& pass, const LayerOfPass& layer, const at::Tensor& q_THD,
                    const at::Tensor& k_TKD, const at::Tensor& v_TKD) override;
  /// Prepares and writes in one kernel, unless attend() would not read the pages.
  at::Tensor prepare_and_attend(const CachePass& pass, const LayerOfPass& layer,
                                const at::Tensor& heads_TAD, int64_t num_heads,
                                const HeadPreparation& preparation) override;

 private:
  bool begins_sequences(const CachePass& pass) const;

  PassTables tables_;
  AttendWorkspace workspace_;
};

}  // namespace longgen
