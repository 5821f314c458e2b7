// engine/batch_drawer.h: the next tokens of many sequences, drawn where their logits are.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longgen/engine/sampler.h"
#include "longgen/engine/token_logprobs.h"

namespace longgen {

/// How the tokens of a sequence are drawn, and what is told of them.
struct DrawSettings {
  SamplingOptions sampling = {};
  /// Are not among its first num_barred tokens.
  std::vector<int32_t> barred = {};
  int64_t num_barred = 0;
  /// Log probabilities of the token and of as many best ones, at most kMostBestTokens: those of the
  /// model, before bias, penalties, temperature and filters.
  std::optional<int64_t> num_logprobs = {};
};

/// Of one row: bit t % 32 of word t / 32 says that token t may be drawn. Empty: all may.
using AllowedTokens = std::span<const uint32_t>;

struct Drawn {
  int32_t token = 0;
  std::optional<TokenLogprobs> logprobs = {};
  std::string error = {};  ///< what the draw failed with: there is no token then
};

/// The tokens of a step, which may not be known yet.
class PendingDraws {
 public:
  virtual ~PendingDraws() = default;
  /// Waits for the step. A token for each row, in order. To be called once.
  virtual std::vector<Drawn> wait() = 0;
};

/// Draws as Sampler does: draw k of a sequence depends on its logits, its tokens, the seed and k.
/// Each sequence has a slot, in which the last token that was drawn for it stands, so that the next
/// step may be launched before anybody has seen that token: token_in_slot() (engine/engine.h) is
/// its name there. What a sequence that has ended still has in flight is thrown away; its slot may
/// be given out at once, because all work of a GPU is in order.
///
/// On the CPU draw() returns when the tokens are there. On a GPU it launches; nothing of the size
/// of the vocabulary comes to the host. Both give the same tokens for the same logits, except where
/// exp() differs in its last bit, and logprobs to rounding.
///
/// Not thread-safe. Calls stand in the order of the steps.
class BatchDrawer {
 public:
  virtual ~BatchDrawer() = default;

  /// Begins a sequence; returns its slot, in [0, most_slots). Throws Error on settings out of range
  /// and on tokens outside the vocabulary.
  virtual int64_t begin(const DrawSettings& settings, std::span<const int32_t> prompt) = 0;
  virtual void end(int64_t slot) = 0;
  /// Draws the next token of the sequence in slots[n] from logits (N, V) fp32, for each row n. They
  /// are where the decoder is. `allowed` has as many rows, or none where all tokens may be drawn;
  /// it is read before the call returns.
  virtual std::unique_ptr<PendingDraws> draw(const at::Tensor& logits_NV,
                                             std::span<const int64_t> slots,
                                             std::span<const AllowedTokens> allowed = {}) = 0;
  /// (S) int64 where the decoder is: the last token of each slot.
  virtual const at::Tensor& drawn_S() const = 0;
};

/// A drawer of tokens below vocab_size for at most most_slots sequences at a time, whose logits are
/// on the device.
std::unique_ptr<BatchDrawer> batch_drawer(at::Device device, int64_t vocab_size,
                                          int64_t most_slots);

/// Throws Error naming the setting that is out of range, or the token that is not in [0,
/// vocab_size).
void check_draw_settings(const DrawSettings& settings, std::span<const int32_t> prompt,
                         int64_t vocab_size);

}  // namespace longgen
