// kv_cache/gpu_cache.h: what the GPU plug-in does for the KV cache: memory, writing, attention.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "longgen/device/gpu_backend.h"
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

/// All calls work on the current stream of the device that the tensors and pages are on, and do not
/// wait for it.
class GpuCache {
 public:
  virtual ~GpuCache() = default;

  /// One range of addresses on the GPU, in which up to max_bytes (or as much as the GPU has) appear
  /// when they are added.
  virtual std::unique_ptr<PageMemory> new_memory(at::Device device,
                                                 std::optional<int64_t> max_bytes) const = 0;

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

  /// Copies pieces of tables to `to`, memory of the device. `upload` is pinned memory of the CPU,
  /// which the device reads: num_pieces TablePiece, then the units that they are of. It must stay
  /// as it is until the stream is past it.
  virtual void scatter(std::byte* to, at::Device device, const at::Tensor& upload,
                       int64_t num_pieces) const = 0;

  /// Memory of the host that the GPU copies from and to by itself, beside its other work.
  virtual std::unique_ptr<PageMemory> new_pinned_memory(at::Device device) const = 0;

  /// Copies blocks of `bytes` each between the GPU and pinned memory, in any order: block n of
  /// `from` to block n of `to`. The current stream must not be the default one.
  virtual void copy_blocks(at::Device device, std::span<void* const> to,
                           std::span<const void* const> from, int64_t bytes) const = 0;

  static constexpr int64_t kFewTokens = 16;
};

/// Throws Error if load_gpu_plugin() has not loaded the plug-in.
inline const GpuCache& gpu_cache() { return gpu_backend().cache; }

}  // namespace longgen
