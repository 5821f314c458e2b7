// engine/decode_graph.h: decoding on a GPU, one CUDA graph for each token.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longgen/kv_cache/cached_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// A step launches some six kernels a layer, most of a few microseconds: launched one by one they
/// would wait for the CPU. So the step is recorded once and replayed; token, position and page
/// tables lie in fixed memory that is written before. Gives what CachedContext and
/// Decoder::forward() give, bit by bit. Several sequences take a token each in one step.
class DecodeGraph {
 public:
  /// Decoder and caches, of one pool on its GPU, must outlive it.
  DecodeGraph(const Decoder& decoder, std::vector<SequenceCache*> caches);

  /// Appends a token to each sequence and returns the logits (N, V) fp32 that follow, on the CPU.
  /// Nothing if the pool has too few pages: the caches are as they were.
  std::optional<at::Tensor> step(std::span<const int32_t> tokens);

 private:
  void record();

  const Decoder& decoder_;
  std::vector<SequenceCache*> caches_;
  CachedContext context_;
  FixedPassTables tables_;
  at::Tensor inputs_;  // (2, N) int64: tokens, positions
  at::Tensor logits_BV_;
  std::unique_ptr<GpuGraph> graph_;
};

}  // namespace longgen
