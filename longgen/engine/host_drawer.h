// engine/host_drawer.h: draws on the CPU, with a Sampler for each sequence.
#pragma once

#include "longgen/engine/batch_drawer.h"
#include "longgen/engine/draw_slots.h"

namespace longgen {

class HostDrawer : public BatchDrawer {
 public:
  HostDrawer(int64_t vocab_size, int64_t most_slots);
  int64_t begin(const DrawSettings& settings, std::span<const int32_t> prompt) override;
  void end(int64_t slot) override { slots_.remove(slot); }
  std::unique_ptr<PendingDraws> draw(const at::Tensor& logits_NV, std::span<const int64_t> slots,
                                     std::span<const AllowedTokens> allowed) override;
  const at::Tensor& drawn_S() const override { return drawn_S_; }

 private:
  struct Sequence {
    DrawSettings settings;
    Sampler sampler;
    int64_t num_draws = 0;
    // What penalties count; none where they are off.
    std::vector<int32_t> prompt = {}, generated = {};
  };
  Drawn draw(const at::Tensor& logits_V, Sequence& sequence, AllowedTokens allowed) const;

  int64_t vocab_size_;
  DrawSlots<Sequence> slots_;
  at::Tensor drawn_S_;
};

}  // namespace longgen
