// measure/layer_walk.h: forward passes of many variants of a model that share their lower layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/measure/journal.h"
#include "longgen/model/attention_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// One sequence whose layers see what they are told to, whatever the decoder's plan.
class VariantContext : public AttentionContext {
 public:
  VariantContext(int64_t num_tokens, std::vector<Pattern> patterns)
      : batch_(num_tokens), patterns_(std::move(patterns)) {}
  void set_pattern(int64_t layer, const Pattern& pattern) { patterns_.at(layer) = pattern; }

  const at::Tensor& positions_T() const override { return batch_.positions_T(); }
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;

 private:
  BatchContext batch_;
  std::vector<Pattern> patterns_;  // of each layer
};

/// Runs variants of a decoder over sequences of one length. A variant that differs from another one
/// in one layer needs that layer and those above it: what is below is computed once.
class LayerWalk {
 public:
  /// Candidates are the layers that a variant may make sparse; the others see what the decoder's
  /// plan says. The decoder must outlive the walk.
  LayerWalk(const Decoder& decoder, LayerSet candidates, const Pattern& sparse, int64_t num_tokens);

  /// Called with the hidden state (T, E) behind the final norm; false ends the walk.
  using Visit = std::function<bool(int64_t toggled, const at::Tensor& hidden_TE)>;
  static constexpr int64_t kNoLayer = -1;

  /// Passes through the layers of the variant with these full layers. At each layer of `toggled`,
  /// ascending, it also goes to the end with that layer the other way, full or sparse, and visits
  /// the result. At last, with `visits_itself`, the variant itself is visited, as kNoLayer. No more
  /// is kept than the state between two layers. `on_layer` is called after each layer; false ends
  /// the walk.
  void run(const std::vector<int32_t>& ids, const LayerSet& full,
           const std::vector<int64_t>& toggled, bool visits_itself, const Visit& visit,
           const std::function<bool()>& on_layer);

 private:
  Residual layer(int64_t index, Residual residual);
  void set(int64_t layer, bool is_full);

  const Decoder& decoder_;
  LayerSet candidates_;
  Pattern full_, sparse_;
  VariantContext context_;
  RopeTables ropes_;
};

}  // namespace longgen
