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
  OrderedJson rope = {{"base", config.rope.base},
                      {"original_base", config.original_rope_base},
                      {"scaling", rope_scaling_name(config.rope.scaling)},
                      {"factor", config.rope.factor},
                      {"original_context", config.rope.original_context}};
  if (config.window_rope) rope["window_base"] = config.window_rope->base;
  if (config.sparse_rope) rope["sparse_base"] = config.sparse_rope->base;
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
          {"rope", std::move(rope)}};
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
  for (int64_t c = LayerPlan::kSparse + 1; c < layers.num_classes(); ++c) {
    if (layers.count(c) == 0) continue;
    json["other_classes"].push_back({{"pattern", layers.pattern_of_class(c).to_string()},
                                     {"layers", layers.layers_of_class(c)}});
  }
  return json;
}

}  // namespace longgen
