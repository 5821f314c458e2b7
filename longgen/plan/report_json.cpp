#include "longgen/plan/report_json.h"

namespace longgen {

std::string rope_scaling_name(RopeConfig::Scaling scaling) {
  switch (scaling) {
    case RopeConfig::Scaling::none:
      return "none";
    case RopeConfig::Scaling::linear:
      return "linear";
    case RopeConfig::Scaling::llama3:
      return "llama3";
    case RopeConfig::Scaling::yarn:
      return "yarn";
  }
  return "unknown";
}

OrderedJson model_to_json(const ModelConfig& config) {
  return {{"family", config.family},
          {"num_layers", config.num_layers},
          {"width", config.width},
          {"ffn_width", config.ffn_width},
          {"vocab_size", config.vocab_size},
          {"num_heads", config.num_heads},
          {"num_kv_heads", config.num_kv_heads},
          {"head_size", config.head_size},
          {"tied_embeddings", config.tied_embeddings},
          {"context", config.context},
          {"original_context", config.original_context},
          {"rope",
           {{"base", config.rope.base},
            {"original_base", config.original_rope_base},
            {"scaling", rope_scaling_name(config.rope.scaling)},
            {"factor", config.rope.factor},
            {"original_context", config.rope.original_context}}}};
}

OrderedJson parameters_to_json(const ParameterCounts& counts) {
  return {{"total", counts.total()}, {"embedding", counts.embedding},
          {"head", counts.head},     {"attention", counts.attention},
          {"ffn", counts.ffn},       {"norms", counts.norms},
          {"biases", counts.biases}};
}

OrderedJson layers_to_json(const LayerPlan& layers) {
  OrderedJson pattern = nullptr;
  if (layers.is_hybrid()) pattern = layers.sparse().to_string();
  OrderedJson json = {{"full_layers", layers.full_layers()}, {"pattern", std::move(pattern)}};
  if (layers.window_tokens() > 0) {
    json["window_layers"] = layers.window_layers();
    json["window_tokens"] = layers.window_tokens();
  }
  return json;
}

}  // namespace longgen
