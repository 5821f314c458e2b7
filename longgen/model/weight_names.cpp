#include "longgen/model/weight_names.h"

namespace longgen {

std::vector<WeightShape> weight_shapes(const ModelConfig& config) {
  const int64_t width = config.width, ffn = config.ffn_width;
  const int64_t q = config.num_heads * config.head_size,
                kv = config.num_kv_heads * config.head_size;
  std::vector<WeightShape> shapes = {{"model.embed_tokens.weight", {config.vocab_size, width}}};
  const auto add = [&](const std::string& name, int64_t out, int64_t in, bool has_bias) {
    shapes.push_back({name + ".weight", {out, in}});
    if (has_bias) shapes.push_back({name + ".bias", {out}});
  };
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    shapes.push_back({prefix + "input_layernorm.weight", {width}});
    add(attention + "q_proj", q, width, config.qkv_bias);
    add(attention + "k_proj", kv, width, config.qkv_bias);
    add(attention + "v_proj", kv, width, config.qkv_bias);
    add(attention + "o_proj", width, q, config.output_bias);
    if (config.qk_norm) {
      shapes.push_back({attention + "q_norm.weight", {config.head_size}});
      shapes.push_back({attention + "k_norm.weight", {config.head_size}});
    }
    shapes.push_back({prefix + "post_attention_layernorm.weight", {width}});
    add(mlp + "gate_proj", ffn, width, config.mlp_bias);
    add(mlp + "up_proj", ffn, width, config.mlp_bias);
    add(mlp + "down_proj", width, ffn, config.mlp_bias);
  }
  shapes.push_back({"model.norm.weight", {width}});
  if (!config.tied_embeddings) shapes.push_back({"lm_head.weight", {config.vocab_size, width}});
  return shapes;
}

bool is_redundant_weight(const std::string& name, const ModelConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (config.tied_embeddings && name == "lm_head.weight");
}

}  // namespace longgen
