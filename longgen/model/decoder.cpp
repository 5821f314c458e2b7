#include "longgen/model/decoder.h"

#include <ATen/ops/embedding.h>

#include "longgen/base/check.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/ops/linear.h"

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
}

at::Tensor Decoder::embed(const at::Tensor& tokens_T) const {
  return at::embedding(weights_.embedding_VE, tokens_T.to(device()));
}

RopeTable Decoder::rope(const AttentionContext& context) const {
  return make_rope_table(context.positions_T().to(device()),
                         rope_frequencies(config_.rope, config_.head_size),
                         config_.rope.attention_factor);
}

at::Tensor Decoder::attention_of(int64_t index, const at::Tensor& heads, const RopeTable& table,
                                 AttentionContext& context) const {
  const LayerWeights& w = weights_.layers[index];
  const at::Tensor attended_THD = context.prepare_and_attend(
      index, heads.unflatten(1, {-1, config_.head_size}), config_.num_heads,
      {table, w.norm(TensorRole::kQueryNorm), w.norm(TensorRole::kKeyNorm), config_.norm_eps},
      config_.pattern(index));
  const Linear& output = w.linear(TensorRole::kOutput);
  return linear(attended_THD.flatten(1), output.weight, output.bias);
}

at::Tensor Decoder::attention(int64_t index, const at::Tensor& x_TE, const RopeTable& table,
                              AttentionContext& context) const {
  const LayerWeights& w = weights_.layers[index];
  const Linear& qkv = w.linear(TensorRole::kQkv);
  const NormedLinear heads =
      norm_linear({x_TE, {}}, norm(w.norm(TensorRole::kAttentionNorm)), qkv.weight, qkv.bias);
  return attention_of(index, heads.out, table, context);
}

FeedForward Decoder::feed_forward_weights(int64_t index) const {
  const LayerWeights& w = weights_.layers[index];
  const Linear &gate_up = w.linear(TensorRole::kGateUp), &down = w.linear(TensorRole::kDown);
  return {gate_up.weight, gate_up.bias, down.weight, down.bias};
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
    const LayerWeights& w = weights_.layers[i];
    const Linear& qkv = w.linear(TensorRole::kQkv);
    NormedLinear heads = norm_linear(std::move(residual), norm(w.norm(TensorRole::kAttentionNorm)),
                                     qkv.weight, qkv.bias);
    residual = {std::move(heads.sum_TE), attention_of(i, heads.out, table, context)};
    residual = norm_feed_forward(std::move(residual), norm(w.norm(TensorRole::kFeedForwardNorm)),
                                 feed_forward_weights(i));
    if (on_layer && !on_layer(i + 1)) return {};
  }
  return longgen::norm(std::move(residual), norm(weights_.final_norm_E)).normed;
}

at::Tensor Decoder::logits(const at::Tensor& hidden_TE) const {
  return linear(hidden_TE, weights_.head_VE).to(at::kFloat);
}

}  // namespace longgen
