// engine/decode_graphs.h: steps of one token a sequence on a GPU, a CUDA graph each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longgen/device/gpu_backend.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/kv_cache/pass_tables.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// The recorded step of a number of sequences, with the memory that it reads and writes.
struct DecodeGraph {
  at::Tensor inputs_2B;  ///< int64: tokens, positions
  at::Tensor logits_BV;  ///< fp32
  std::unique_ptr<GpuGraph> graph;
};

/// Which graph does a step: one for each number of sequences. There is no padding to a few numbers:
/// a graph then gives the bits of the pass that it stands for, no step computes rows of nobody, and
/// what is saved, recordings, costs some ten steps each, once.
class DecodeGraphTable {
 public:
  using Record = std::function<DecodeGraph()>;
  /// The graph for num_sequences, which `record` makes where there is none. tables_moved: the page
  /// tables lie elsewhere than before, which makes all graphs void. Where `record` throws, the
  /// table has no graph for this number.
  DecodeGraph& get(int64_t num_sequences, bool tables_moved, const Record& record);

 private:
  std::map<int64_t, DecodeGraph> graphs_;
};

/// A step launches some six kernels a layer, most of a few microseconds: launched one by one they
/// would wait for the CPU. So the step is recorded once for each number of sequences and replayed;
/// tokens, positions and page tables lie in fixed memory that is written before. A graph knows no
/// sequences: they come and go between steps. Gives what CachedContext and Decoder::forward() give
/// for the same sequences in one pass, bit by bit.
class DecodeGraphs {
 public:
  /// With more sequences the kernels take longer than their launches, and a graph gains nothing.
  static constexpr int64_t kMostSequences = 64;

  /// Decoder and caches, of one pool on its GPU, must outlive it.
  explicit DecodeGraphs(const Decoder& decoder);

  /// Appends a token to the sequence of each part, which is of one token, and returns the logits
  /// (B, V) fp32 that follow, on the GPU: they are there when wait() has returned, and hold until
  /// the next step. Nothing if the pool has too few pages: the caches are as they were. keep_dead
  /// as in CachedContext::commit().
  std::optional<at::Tensor> step(std::vector<PassPart> parts, std::span<const int32_t> tokens,
                                 bool keep_dead = false);
  /// Waits until the GPU has done the last step, and what was queued after it.
  void wait();

 private:
  DecodeGraph record(int64_t num_sequences, const at::Tensor& inputs_2B);

  const Decoder& decoder_;
  CachedContext context_;  // its workspace has one size for all steps of single tokens
  FixedPassTables tables_;
  DecodeGraphTable graphs_;
  bool is_running_ = false;
};

}  // namespace longgen
