// model/decoder.h: the decoder that trains, is evaluated and generates.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "longgen/model/attention_context.h"
#include "longgen/model/attention_layer.h"
#include "longgen/model/config.h"
#include "longgen/model/feed_forward_layer.h"
#include "longgen/model/rope_tables.h"
#include "longgen/model/weights.h"

namespace longgen {

/// Called after each layer of a forward pass with the number of layers done; false ends the pass.
/// On a GPU a layer is done when its work is queued.
using OnLayer = std::function<bool(int64_t done_layers)>;

struct DecoderLayer {
  AttentionLayer attention;
  FeedForwardLayer feed_forward;
};

/// A pre-norm decoder with grouped-query attention, RoPE and a gated feed-forward network. It holds
/// the weights and keeps no state between calls.
class Decoder {
 public:
  /// Throws Error where weights and config do not fit, and where a GPU cannot run the model.
  Decoder(ModelConfig config, ModelWeights weights);

  const ModelConfig& config() const { return config_; }
  const ModelWeights& weights() const { return weights_; }
  at::ScalarType dtype() const { return weights_.embedding_VE.scalar_type(); }
  at::Device device() const { return weights_.embedding_VE.device(); }

  /// Takes tokens (T) int64, on the CPU or the device, to the hidden state after the final norm (T,
  /// E), in the dtype of the weights. The result is undefined where on_layer ended the pass.
  at::Tensor forward(const at::Tensor& tokens_T, AttentionContext& context,
                     const OnLayer& on_layer = {}) const;
  /// Does the same with the cosines and sines of the context's positions given.
  at::Tensor forward(const at::Tensor& tokens_T, AttentionContext& context, const RopeTables& ropes,
                     const OnLayer& on_layer = {}) const;
  /// Takes hidden (T, E) to logits (T, V) in fp32.
  at::Tensor logits(const at::Tensor& hidden_TE) const;

  // These are the parts of forward(), for training, which keeps layer inputs and computes layers
  // again.
  /// Takes tokens (T) to their rows of the embedding, (T, E), times the config's embedding_scale.
  at::Tensor embed(const at::Tensor& tokens_T) const;
  /// Takes the gradient of what embed() gave to that of the embedding's rows, (T, E).
  at::Tensor embed_backward(const at::Tensor& grad_TE) const { return scaled(grad_TE); }
  /// Makes the cosines and sines of the context's positions.
  RopeTables ropes(const AttentionContext& context) const;
  const std::vector<DecoderLayer>& layers() const { return layers_; }
  /// Takes the last layer's result (T, E) to the hidden state (T, E).
  at::Tensor final_norm(const at::Tensor& x_TE) const;

 private:
  at::Tensor scaled(const at::Tensor& rows_TE) const;

  ModelConfig config_;
  ModelWeights weights_;
  std::vector<DecoderLayer> layers_;
};

}  // namespace longgen
