// kv_cache/cpu_paged_attention.h: attention to pages in the memory of the system.
#pragma once

#include "longgen/kv_cache/paged_attention.h"

namespace longgen {

class CpuPagedAttention : public PagedAttention {
 public:
  void begin(const CachePass&) override {}
  at::Tensor attend(const CachePass& pass, const LayerOfPass& layer, const at::Tensor& q_THD,
                    const at::Tensor& k_TKD, const at::Tensor& v_TKD) override;
};

}  // namespace longgen
