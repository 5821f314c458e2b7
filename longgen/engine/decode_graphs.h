// engine/decode_graphs.h: steps of one token a sequence on a GPU, a CUDA graph each.
#pragma once

#include <ATen/core/Tensor.h>

#include <bit>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longgen/device/gpu_backend.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/kv_cache/resident_tables.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// The recorded step of a number of rows, with the memory that it reads and writes.
struct DecodeGraph {
  at::Tensor inputs_2B;  ///< int64: tokens, positions
  at::Tensor logits_BV;  ///< fp32; memory of the graph, which other graphs may write to, too
  std::unique_ptr<GpuGraph> graph;
};

/// Which graph does a step: one for each power of two, of which the one that holds the sequences
/// does it, with rows of nobody for the rest.
class DecodeGraphTable {
 public:
  static constexpr int64_t rows_for(int64_t num_sequences) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(num_sequences)));
  }
  /// Makes a graph; `beside`: any one that is there already, or null.
  using Record = std::function<DecodeGraph(GpuGraph* beside)>;
  /// The graph of so many rows, which `record` makes where there is none. Where it throws, the
  /// table has no graph for this number.
  DecodeGraph& get(int64_t num_rows, const Record& record);

 private:
  std::map<int64_t, DecodeGraph> graphs_;
};

/// A step launches some six kernels a layer, most of a few microseconds: launched one by one they
/// would wait for the CPU. So the step is recorded, once for 1, 2, 4, ... rows, and replayed;
/// tokens, positions and page tables lie in fixed memory that is written before. A graph knows no
/// sequences: they come and go between steps, and rows that are left over have no keys, no page and
/// token 0. Gives, bit by bit, what Decoder::forward() gives in a pass of so many rows; with as
/// many sequences as rows that is what CachedContext gives without a graph.
class DecodeGraphs {
 public:
  /// With more sequences the kernels take longer than their launches, and a graph gains nothing.
  static constexpr int64_t kMostSequences = 64;

  /// Decoder, layout and pool, which is on its GPU, must outlive it.
  DecodeGraphs(const Decoder& decoder, const KvLayout& layout, PagePool& pool);

  /// Records the graphs for up to max_sequences now; each is recorded when it is first needed
  /// otherwise. Throws Error where the GPU has no memory for a page.
  void record_all(int64_t max_sequences);
  /// Appends a token to the sequence of each part, which is of one token, and returns the logits
  /// (B, V) fp32 that follow, on the GPU: they are there when wait() has returned, and hold until
  /// the next step, which may follow at once. Nothing if the pool has too few pages: the caches are
  /// as they were. keep_dead as in CachedContext::commit(), drawn_S as in BatchOptions.
  std::optional<at::Tensor> step(std::vector<PassPart> parts, std::span<const int32_t> tokens,
                                 bool keep_dead = false, const at::Tensor& drawn_S = {});
  /// Waits until the GPU has done the last step, and what was queued after it.
  void wait();
  /// Forgets a sequence, before its cache goes.
  void forget(const SequenceCache& cache) { tables_.forget(cache); }

 private:
  DecodeGraph& graph(int64_t num_rows);
  DecodeGraph record(int64_t num_rows, GpuGraph* beside);

  const Decoder& decoder_;
  const KvLayout& layout_;
  PagePool& pool_;
  CachedContext context_;  // its workspace has one size for all steps of single tokens
  ResidentTables tables_;
  DecodeGraphTable graphs_;
};

}  // namespace longgen
