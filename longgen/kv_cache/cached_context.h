// kv_cache/cached_context.h: the attention context of serving. New tokens write their K and V to
// pages and attend to everything that the cache holds, as PagedAttention does on each device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/kv_cache/cpu_paged_attention.h"
#include "longgen/kv_cache/gpu_paged_attention.h"
#include "longgen/kv_cache/pass_tables.h"
#include "longgen/model/attention_context.h"

namespace longgen {

/// One forward pass: begin(), then Decoder::forward() with this context, then commit(). Prefill in
/// chunks and decode are the same, with many tokens or one:
///
///     CachedContext context;
///     if (!context.begin({{&cache, num_tokens}})) return false;  // the pool is full
///     const at::Tensor hidden_TE = decoder.forward(tokens_T, context);
///     context.commit();
///
/// Where the pool is full, the caller waits until sequences end, or ends one. The result is that of
/// one pass over the whole sequence, to rounding; two runs with the same chunks are bit-equal,
/// whatever the number of threads. If the pass fails, the next begin() (or the end of the context)
/// gives the new pages back: the sequences are as they were before it. Where the pool is on a GPU,
/// so are q, k, v and the outputs; positions are on the CPU always.
class CachedContext : public AttentionContext {
 public:
  using Part = PassPart;

  CachedContext() = default;
  ~CachedContext() override;
  CachedContext(const CachedContext&) = delete;
  CachedContext& operator=(const CachedContext&) = delete;

  /// Takes the pages of all parts. False if the pool has too few: no sequence has changed. A
  /// sequence may stand in one part only. The caches must outlive the pass.
  [[nodiscard]] bool begin(std::vector<Part> parts);
  /// Does the same on a GPU for a pass that a CUDA graph does: `tables` follows the caches, and
  /// says whether the graph must be recorded anew (see FixedPassTables::update).
  [[nodiscard]] bool begin(std::vector<Part> parts, FixedPassTables& tables, bool& must_record);
  /// The new tokens belong to their sequences now, and dead pages are freed. Call it after the last
  /// layer. Error without a begin(). With keep_dead dead pages stay until
  /// SequenceCache::release_dead().
  void commit(bool keep_dead = false);
  /// Gives up the pass. Nothing to do without one.
  void cancel();

  const at::Tensor& positions_T() const override { return pass_.positions_T; }
  /// q (T, H, D), k and v (T, K, D), fp32 or bf16 as the layout's bytes per value say, where the
  /// pool is, rows contiguous; T is the number of new tokens. The layer's pattern must be that of
  /// the cache's layout. Throws Error on other shapes. May be called again for the same layer.
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;
  at::Tensor prepare_and_attend(const LayerAttention& layer, const at::Tensor& heads_TAD,
                                int64_t num_heads, const HeadPreparation& preparation) override;

 private:
  bool reserve(std::vector<Part> parts);
  void check_inputs(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) const;
  /// By where the pages of the pass are.
  PagedAttention& attention();

  CachePass pass_;
  CpuPagedAttention on_cpu_;
  GpuPagedAttention on_gpu_;
};

}  // namespace longgen
