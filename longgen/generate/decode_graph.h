// generate/decode_graph.h: decoding on a GPU, one CUDA graph for each token.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "longgen/kv_cache/cached_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// A step launches some ten kernels a layer, each of a few microseconds: launched one by one they
/// would wait for the CPU. So the step is recorded once and replayed; token, position and page
/// tables lie in fixed memory that is written before. Gives what CachedContext and
/// Decoder::forward() give, bit by bit.
class DecodeGraph {
 public:
  /// Decoder and cache, both on a GPU, must outlive it.
  DecodeGraph(const Decoder& decoder, SequenceCache& cache);

  /// Appends a token and returns the logits (V) fp32 that follow, on the CPU. Nothing if the pool
  /// has too few pages: the cache is as it was.
  std::optional<at::Tensor> step(int32_t token);

 private:
  void record();

  const Decoder& decoder_;
  SequenceCache& cache_;
  CachedContext context_;
  FixedPassTables tables_;
  at::Tensor inputs_;  // token and position, int64
  std::vector<double> frequencies_;
  at::Tensor logits_V_;
  std::unique_ptr<GpuGraph> graph_;
};

}  // namespace longgen
