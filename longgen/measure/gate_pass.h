// measure/gate_pass.h: one forward and backward pass that says of every unit at once what making it
// sparse would change, to first order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/measure/variant_units.h"
#include "longgen/model/attention_context.h"
#include "longgen/model/decoder.h"

namespace longgen {

/// One sequence whose units attend through gates: a unit gives (1 - gate) x what it gives full +
/// gate x what it gives sparse. A gate is 0 in the full model and 1 in a variant.
class GateContext : public AttentionContext {
 public:
  /// All gates begin at `gate`.
  GateContext(int64_t num_tokens, const ModelConfig& config, const VariantUnits& units,
              double gate);

  const at::Tensor& positions_T() const override { return batch_.positions_T(); }
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;

  /// The gates of a layer's units, float32 on the CPU; undefined where none of them is a candidate.
  at::Tensor& gates_of(int64_t layer) { return gates_.at(static_cast<size_t>(layer)); }

 private:
  BatchContext batch_;
  Pattern full_, sparse_;
  std::vector<at::Tensor> gates_;  // of each layer
};

/// Runs a decoder through gates over sequences of one length, and back. Memory is one (T, E) tensor
/// a layer and the graph of one layer.
class GatePass {
 public:
  /// The decoder must outlive the pass.
  GatePass(const Decoder& decoder, VariantUnits units, int64_t num_tokens, double gate);

  void set_gate(int64_t unit, double gate);

  /// Takes a sequence to the hidden state (T, E) behind the final norm, which has no graph.
  /// `on_layer` is called after each layer; false ends the pass, and the result is undefined.
  at::Tensor forward(const std::vector<int32_t>& ids, const std::function<bool()>& on_layer);

  /// Takes gradients of that hidden state, each of a figure, to the figures' derivatives by the
  /// gate of every candidate: [figure][candidate]. Empty where on_layer ended the pass.
  std::vector<std::vector<double>> backward(std::vector<at::Tensor> grads_TE,
                                            const std::function<bool()>& on_layer);

 private:
  at::Tensor layer(int64_t index, const at::Tensor& x_TE);

  const Decoder& decoder_;
  VariantUnits units_;
  GateContext context_;
  RopeTables ropes_;
  std::vector<at::Tensor> inputs_TE_;  // of each layer, and of the final norm
};

}  // namespace longgen
