#include "longgen/model/decoder.h"

#include <ATen/ops/add.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>

#include "longgen/base/check.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/swiglu.h"

namespace longgen {
namespace {

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

struct Qkv {
  at::Tensor q_THD, k_TKD, v_TKD;
};

Qkv split_heads(const at::Tensor& qkv, const ModelConfig& config) {
  const auto heads =
      qkv.unflatten(1, {-1, config.head_size})
          .split_with_sizes({config.num_heads, config.num_kv_heads, config.num_kv_heads}, 1);
  return {heads[0], heads[1], heads[2]};
}

}  // namespace

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
  return at::embedding(weights_.embedding_VE, tokens_T);
}

RopeTable Decoder::rope(const AttentionContext& context) const {
  RopeTable table =
      make_rope_table(context.positions_T(), rope_frequencies(config_.rope, config_.head_size),
                      config_.rope.attention_factor);
  const at::Device device = weights_.embedding_VE.device();
  return {table.cos_TD.to(device), table.sin_TD.to(device)};
}

at::Tensor Decoder::layer(int64_t index, const at::Tensor& x_TE, const RopeTable& table,
                          AttentionContext& context) const {
  const LayerWeights& w = weights_.layers[index];
  const double eps = config_.norm_eps;

  Qkv heads =
      split_heads(project(rms_norm(x_TE, w.attention_norm_E, eps), w.qkv, w.qkv_bias), config_);
  if (config_.qk_norm) {
    heads.q_THD = rms_norm(heads.q_THD, w.q_norm_D, eps);
    heads.k_TKD = rms_norm(heads.k_TKD, w.k_norm_D, eps);
  }
  const at::Tensor attended =
      context.attend(index, longgen::rope(heads.q_THD, table), longgen::rope(heads.k_TKD, table),
                     heads.v_TKD, config_.pattern(index));
  const at::Tensor x = at::add(x_TE, project(attended.flatten(1), w.output, w.output_bias));

  const at::Tensor gate_up = project(rms_norm(x, w.ffn_norm_E, eps), w.gate_up, w.gate_up_bias);
  return at::add(x, project(swiglu(gate_up), w.down, w.down_bias));
}

at::Tensor Decoder::final_norm(const at::Tensor& x_TE) const {
  return rms_norm(x_TE, weights_.final_norm_E, config_.norm_eps);
}

at::Tensor Decoder::forward(const at::Tensor& tokens_T, AttentionContext& context) const {
  return forward(tokens_T, context, rope(context));
}

at::Tensor Decoder::forward(const at::Tensor& tokens_T, AttentionContext& context,
                            const RopeTable& table) const {
  at::Tensor x = embed(tokens_T);
  for (int64_t i = 0; i < config_.num_layers; ++i) x = layer(i, x, table, context);
  return final_norm(x);
}

at::Tensor Decoder::logits(const at::Tensor& hidden_TE) const {
  return at::linear(hidden_TE, weights_.head_VE).to(at::kFloat);
}

}  // namespace longgen
