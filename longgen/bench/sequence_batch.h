// bench/sequence_batch.h: sequences that are decoded together, as a server would.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "longgen/engine/decode_graph.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// Sequences on one pool. Throws Error where its memory runs out.
class SequenceBatch {
 public:
  /// `chunk`: tokens of a prompt in one forward pass. The decoder must outlive it.
  SequenceBatch(const Decoder& decoder, int64_t num_sequences, int64_t chunk);

  int64_t num_sequences() const { return static_cast<int64_t>(caches_.size()); }
  /// Appends tokens to a sequence, and gives the logits (V) fp32 that follow, on the CPU.
  at::Tensor append(int64_t sequence, std::span<const int32_t> tokens);
  /// Appends the token to every sequence in one pass, on a GPU one CUDA graph, and gives logits (B,
  /// V) fp32 on the CPU.
  at::Tensor step(int32_t token);
  /// Forgets all tokens.
  void clear();

  int64_t kv_bytes() const { return pool_.bytes_in_use(); }
  /// The most bytes of the KV cache that they have held.
  int64_t kv_bytes_peak() const { return pool_.high_water() * pool_.page_bytes(); }

 private:
  at::Tensor run(std::vector<PassPart> parts, const at::Tensor& tokens_T);

  const Decoder& decoder_;
  int64_t chunk_;
  KvLayout layout_;
  PagePool pool_;
  std::vector<std::unique_ptr<SequenceCache>> caches_;
  CachedContext context_;
  std::unique_ptr<DecodeGraph> graph_;  // on a GPU
};

}  // namespace longgen
