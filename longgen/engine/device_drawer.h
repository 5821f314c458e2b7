// engine/device_drawer.h: draws on a GPU, by the plug-in.
#pragma once

#include "longgen/engine/batch_drawer.h"
#include "longgen/engine/draw_rows.h"
#include "longgen/engine/draw_slots.h"

namespace longgen {

/// Of a sequence, lists of bias and barred tokens stand on the GPU, and counts of tokens where a
/// penalty asks for them. All else goes there with each draw: 128 bytes a row in one copy, and
/// a bit for each token where not all are allowed.
class DeviceDrawer : public BatchDrawer {
 public:
  /// Throws Error where the vocabulary is beyond kMostDrawnClasses.
  DeviceDrawer(at::Device device, int64_t vocab_size, int64_t most_slots);
  int64_t begin(const DrawSettings& settings, std::span<const int32_t> prompt) override;
  void end(int64_t slot) override { slots_.remove(slot); }
  std::unique_ptr<PendingDraws> draw(const at::Tensor& logits_NV, std::span<const int64_t> slots,
                                     std::span<const AllowedTokens> allowed) override;
  const at::Tensor& drawn_S() const override { return drawn_S_; }

 private:
  struct Sequence {
    DrawRow row;  ///< of its next draw, but for what depends on the other rows
    int64_t num_barred;
    std::optional<int64_t> num_logprobs;
    at::Tensor bias, barred, counts_V;  ///< what the row has addresses of
  };

  at::Device device_;
  int64_t vocab_size_;
  DrawSlots<Sequence> slots_;
  at::Tensor drawn_S_;
};

}  // namespace longgen
