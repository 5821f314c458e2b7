// The kinds of models that differ in their tensors, for tests that must hold for each of them.
#pragma once

#include <ATen/ATen.h>

#include <ostream>
#include <string>

#include "longgen/model/weights.h"

namespace longgen {

struct ModelCase {
  const char* name;
  const char* sparse;  // "" for a full model
  bool tied = false;
  bool qk_norm = false;   // as Qwen3
  bool bias = false;      // of every projection that the family can give one
  bool qkv_bias = false;  // of q, k and v alone, as Qwen2
  // As Gemma 3: norms after attention and feed-forward, 1 + weight, GELU, scaled embedding and
  // scores, a window and a RoPE of its own in the first and the last layer.
  bool gemma = false;
};
inline void PrintTo(const ModelCase& c, std::ostream* out) { *out << c.name; }

inline constexpr ModelCase kModelCases[] = {
    {.name = "full", .sparse = ""},
    {.name = "full_tied", .sparse = "", .tied = true},
    {.name = "sink", .sparse = "sink=1,window=1"},
    {.name = "sink_tied", .sparse = "sink=1,window=1", .tied = true},
    {.name = "window_bias", .sparse = "sink=0,window=1", .bias = true},
    {.name = "qkv_bias", .sparse = "sink=1,window=1", .qkv_bias = true},
    {.name = "qkv_bias_tied", .sparse = "", .tied = true, .qkv_bias = true},
    {.name = "qk_norm", .sparse = "sink=1,window=1", .qk_norm = true},
    {.name = "stride_qk_norm", .sparse = "sink=0,window=1,stride=2", .tied = true, .qk_norm = true},
    {.name = "qk_norm_bias", .sparse = "", .qk_norm = true, .bias = true},
    {.name = "gemma_tied", .sparse = "", .tied = true, .gemma = true},
    {.name = "gemma_sparse", .sparse = "sink=1,window=1", .bias = true, .gemma = true},
};

/// Makes the config of a case from the config.json of a plain Llama of three layers.
inline ModelConfig config_of(const ModelCase& c, Json json) {
  json["tie_word_embeddings"] = c.tied;
  json["attention_bias"] = json["mlp_bias"] = c.bias;
  if (c.qkv_bias) json["model_type"] = "qwen2";
  if (c.qk_norm) {
    json["model_type"] = "qwen3";
    json["head_dim"] =
        json["hidden_size"].get<int64_t>() / json["num_attention_heads"].get<int64_t>();
  }
  if (c.gemma) {
    json["model_type"] = "gemma3_text";
    json["architectures"] = {"Gemma3ForCausalLM"};
    json["hidden_activation"] = "gelu_pytorch_tanh";
    json["head_dim"] = 24;
    json["query_pre_attn_scalar"] = 40;
    json["sliding_window"] = 30;
    json["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention"};
    json["rope_local_base_freq"] = 200;
  }
  ModelConfig config = parse_model_config(json.dump(), "config.json");
  if (*c.sparse != '\0' && c.gemma) {
    config.layers =
        LayerPlan::hybrid(config.num_layers, {}, Pattern::parse(c.sparse)).with_windows({0, 2}, 30);
  } else if (*c.sparse != '\0') {
    config.layers = LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse(c.sparse));
  }
  return config;
}

/// Makes random weights; norms of 1 and biases of 0 would hide a slot that is mixed up.
inline ModelWeights varied_weights(const ModelConfig& config, at::ScalarType dtype) {
  ModelWeights weights = random_weights(config, dtype, 5);
  at::manual_seed(6);
  for (const NamedTensor& parameter : weights.parameters()) {
    at::Tensor tensor = parameter.tensor;
    if (tensor.dim() == 1) tensor.add_(at::randn_like(tensor), 0.3);
  }
  return weights;
}

}  // namespace longgen
