// engine/session.h: one sequence on one model: prefill in chunks, decode, the KV cache.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "longgen/engine/engine.h"

namespace longgen {

/// Stands for the device's default where a number of tokens is asked for.
inline constexpr int64_t kDefaultPrefillChunk = 0;
/// Gives `chunk`, or the device's default for kDefaultPrefillChunk: tokens of a prompt that pass
/// through the layers at once. On the CPU 512: activations of more would leave the processor's
/// caches without making the multiplications faster (measured on 2 cores). On a GPU 8,192: as fast
/// as the whole prompt (docs/bench/), without its activations.
int64_t prefill_chunk(int64_t chunk, at::Device device);

/// An engine of one sequence. No gradients. Not thread-safe.
class Session {
 public:
  /// `chunk`: tokens of a prompt in one forward pass. The decoder must outlive the session.
  explicit Session(const Decoder& decoder, int64_t chunk = kDefaultPrefillChunk);

  /// append() calls it after every layer of a chunk with the number of tokens done, where a chunk
  /// under way counts by its share of layers. Returning false ends append() early with an undefined
  /// result: the cache then holds the tokens of the chunks before, and of this one after its last
  /// layer.
  using OnProgress = std::function<bool(int64_t done_tokens)>;

  /// Appends tokens and returns the logits (V) fp32 that follow the last one, on the CPU. Throws
  /// Error on no tokens, on one outside the vocabulary, and where memory runs out; tokens of
  /// finished chunks then stay.
  at::Tensor append(std::span<const int32_t> tokens, const OnProgress& on_progress = {});
  /// Appends the tokens and gives the hidden states (T, E) of each chunk to `visit`, on the
  /// decoder's device.
  using OnHidden = std::function<void(const at::Tensor& hidden_TE, int64_t first_token)>;
  void append(std::span<const int32_t> tokens, const OnHidden& visit,
              const OnProgress& on_progress = {});

  /// Forgets all tokens.
  void clear();

  const Decoder& decoder() const { return engine_.decoder(); }
  int64_t num_tokens() const { return engine_.num_tokens(sequence_); }
  int64_t kv_bytes() const { return engine_.sequence(sequence_).kv_bytes(); }
  /// The most bytes that the cache has held.
  int64_t kv_bytes_peak() const {
    return engine_.pool().high_water() * engine_.pool().page_bytes();
  }
  /// What the same tokens would hold if every layer were full.
  int64_t full_kv_bytes() const { return engine_.layout().full_kv_bytes(num_tokens()); }

 private:
  /// Appends the tokens chunk by chunk; undefined logits where on_progress ended it.
  at::Tensor append(std::span<const int32_t> tokens, const OnHidden& visit, bool wants_logits,
                    const OnProgress& on_progress);
  [[noreturn]] void fail_out_of_memory() const;

  Engine engine_;
  SequenceId sequence_;
  int64_t chunk_;
};

}  // namespace longgen
