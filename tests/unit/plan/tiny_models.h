// Models small enough to count by hand, for the planner's tests.
#pragma once

#include "longgen/model/config.h"

namespace longgen {

/// 6 layers, 4 heads on 2 KV heads of 8; every kind of parameter exists.
inline ModelConfig tiny_config() {
  ModelConfig config;
  config.family = "llama";
  config.num_layers = 6;
  config.width = 24;
  config.ffn_width = 40;
  config.vocab_size = 100;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_size = 8;
  config.context = config.original_context = 512;
  config.layers = LayerPlan::all_full(config.num_layers);
  return config;
}

/// Layers 2 and 3 full, the others sink 1, window 2, stride 3.
inline LayerPlan tiny_hybrid() {
  return {.full_layers = {2, 3}, .sparse = Pattern::sparse(1, 2, 3)};
}

}  // namespace longgen
