// kv_cache/gpu_cache.h: what the GPU plug-in does for the KV cache: memory,
// writing, attention, graphs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "longgen/kv_cache/page_pool.h"
#include "longgen/kv_cache/pass_tables.h"
#include "longgen/model/attention_context.h"

namespace longgen {

/// K and V of one layer in the pages of a pool, as cuda/page_format.h says.
struct LayerPages {
  std::byte* memory;   ///< of the layer in page 0; 16-byte aligned
  int64_t page_bytes;  ///< from page to page
  int64_t group;       ///< of PassTables
  Pattern pattern;
};

/// Partial results of attend(). Grows to what is needed and is kept for the next call; one at a
/// time may use it.
struct AttendWorkspace {
  at::Tensor partials;  ///< fp32
  at::Tensor counters;  ///< int32, zero between calls
};

/// Work that was recorded once and is done again by replay(), on the memory it was recorded with.
class GpuGraph {
 public:
  virtual ~GpuGraph() = default;
  /// Runs what was recorded, on the current stream, and does not wait for it.
  virtual void replay() = 0;
};

/// All calls work on the current stream and do not wait for it. Tensors are on the current GPU.
class GpuCache {
 public:
  virtual ~GpuCache() = default;

  /// One range of addresses on the current GPU, in which up to max_bytes (or as much as the GPU
  /// has) appear when they are added.
  virtual std::unique_ptr<PageMemory> new_memory(std::optional<int64_t> max_bytes) const = 0;

  /// Writes the rows of all runs, k and v (T, K, D) bf16, to their pages. What follows the last
  /// token in its block is set to zero when the block is begun.
  virtual void write(const LayerPages& pages, const PassTables& tables, const at::Tensor& k_TKD,
                     const at::Tensor& v_TKD) const = 0;

  /// prepare_heads() and write() in one pass over memory: of heads (T, H + 2K, D) bf16 the last 2K
  /// are k and v. Returns the H heads of queries, (T, H, D). All equal those bit for bit, but for
  /// norms whose weights do not lie at multiples of 16 bytes, of which rms_norm() adds the squares
  /// in another order.
  virtual at::Tensor prepare_and_write(const LayerPages& pages, const PassTables& tables,
                                       const at::Tensor& heads_TAD, int64_t num_heads,
                                       const HeadPreparation& preparation) const = 0;

  /// softmax(scale q k^T) v over the keys in the pages that q's rows see, q (T, H, D) bf16; returns
  /// (T, H, D). Rows that see no key give zeros. Up to kFewTokens of each sequence take the time of
  /// reading their pages; more are computed in tiles, as without a cache. Two runs are bit-equal;
  /// another set of sequences in the pass rounds differently.
  virtual at::Tensor attend(const LayerPages& pages, const PassTables& tables,
                            const at::Tensor& q_THD, double scale,
                            AttendWorkspace& workspace) const = 0;

  static constexpr int64_t kFewTokens = 16;

  /// Calls run() twice, once to warm up, once to record it. What it allocates and does not free
  /// stays reserved for the graph. It must not wait for the GPU.
  virtual std::unique_ptr<GpuGraph> record(const std::function<void()>& run) const = 0;
};

/// Throws Error if load_gpu_plugin() has not loaded the plug-in.
const GpuCache& gpu_cache();
/// The name by which the plug-in registers it.
inline constexpr const char* kGpuCachePart = "kv_cache";

}  // namespace longgen
