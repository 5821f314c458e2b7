#include "longgen/model/decoder.h"

#include <ATen/ops/embedding.h>

#include "longgen/base/check.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/residual.h"

namespace longgen {

Decoder::Decoder(ModelConfig config, ModelWeights weights)
    : config_(std::move(config)), weights_(std::move(weights)) {
  const auto num_layers = static_cast<int64_t>(weights_.layers.size());
  LG_CHECK(num_layers == config_.num_layers, "[decoder] weights of ", num_layers,
           " layers, but config.num_layers is ", config_.num_layers, ".");
  LG_CHECK(weights_.embedding_VE.size(0) == config_.vocab_size &&
               weights_.embedding_VE.size(1) == config_.width,
           "[decoder] the embedding is ", weights_.embedding_VE.sizes(), ", expected (",
           config_.vocab_size, ", ", config_.width, ").");
  for (int64_t i = 0; i < num_layers; ++i) {
    const LayerWeights& weights_of_layer = weights_.layers[static_cast<size_t>(i)];
    layers_.push_back({{i, config_, weights_of_layer}, {config_, weights_of_layer}});
  }
}

at::Tensor Decoder::embed(const at::Tensor& tokens_T) const {
  return at::embedding(weights_.embedding_VE, tokens_T.to(device()));
}

RopeTable Decoder::rope(const AttentionContext& context) const {
  return make_rope_table(context.positions_T().to(device()),
                         rope_frequencies(config_.rope, config_.head_size),
                         config_.rope.attention_factor);
}

at::Tensor Decoder::final_norm(const at::Tensor& x_TE) const {
  return rms_norm(x_TE, weights_.final_norm_E, config_.norm_eps);
}

at::Tensor Decoder::forward(const at::Tensor& tokens_T, AttentionContext& context,
                            const OnLayer& on_layer) const {
  return forward(tokens_T, context, rope(context), on_layer);
}

at::Tensor Decoder::forward(const at::Tensor& tokens_T, AttentionContext& context,
                            const RopeTable& table, const OnLayer& on_layer) const {
  Residual residual = {embed(tokens_T), {}};
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const DecoderLayer& layer = layers_[static_cast<size_t>(i)];
    residual = layer.attention.forward(std::move(residual), table, context);
    residual = layer.feed_forward.forward(std::move(residual));
    if (on_layer && !on_layer(i + 1)) return {};
  }
  return norm(std::move(residual), {weights_.final_norm_E, config_.norm_eps}).normed;
}

at::Tensor Decoder::logits(const at::Tensor& hidden_TE) const {
  return linear(hidden_TE, weights_.head_VE).to(at::kFloat);
}

}  // namespace longgen
