// measure/layer_walk.h: forward passes of many variants of a model that share their lower layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/measure/variant_units.h"
#include "longgen/model/attention_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// One sequence whose units see what they are told to, whatever the decoder's plan.
class VariantContext : public AttentionContext {
 public:
  VariantContext(int64_t num_tokens, const ModelConfig& config, const VariantUnits& units);
  void set(int64_t unit, bool is_full);

  const at::Tensor& positions_T() const override { return batch_.positions_T(); }
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;

 private:
  BatchContext batch_;
  int64_t per_layer_;
  Pattern full_, sparse_;
  std::vector<std::vector<bool>> is_full_;  // of each layer's units; empty: as the model's plan is
};

/// Runs variants of a decoder over sequences of one length. A variant that differs from another one
/// in one unit needs that layer and those above it: what is below is computed once.
class LayerWalk {
 public:
  /// The decoder must outlive the walk.
  LayerWalk(const Decoder& decoder, VariantUnits units, int64_t num_tokens);

  /// Called with the hidden state (T, E) behind the final norm; false ends the walk.
  using Visit = std::function<bool(int64_t toggled, const at::Tensor& hidden_TE)>;
  static constexpr int64_t kNothing = -1;

  /// Passes through the layers of the variant with these full units. At the layer of each unit of
  /// `toggled`, ascending, it also goes to the end with that unit the other way, full or sparse,
  /// and visits the result. At last, with `visits_itself`, the variant itself is visited, as
  /// kNothing. No more is kept than the state between two layers. `on_layer` is called after each
  /// layer; false ends the walk.
  void run(const std::vector<int32_t>& ids, const LayerSet& full,
           const std::vector<int64_t>& toggled, bool visits_itself, const Visit& visit,
           const std::function<bool()>& on_layer);

 private:
  Residual layer(int64_t index, Residual residual);
  /// Goes from the input of a layer to the end; false where on_layer ended it.
  bool finish(int64_t first_layer, Residual& residual, const std::function<bool()>& on_layer);
  at::Tensor final_norm(Residual residual) const;

  const Decoder& decoder_;
  VariantUnits units_;
  VariantContext context_;
  RopeTables ropes_;
};

}  // namespace longgen
