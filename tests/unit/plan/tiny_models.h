// Models small enough to count by hand, for the planner's tests.
#pragma once

#include "longgen/model/config.h"

namespace longgen {

/// Returns a config of 6 layers, 4 heads on 2 KV heads of 8, with every kind of parameter.
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

/// Returns a plan with layers 2 and 3 full, and sink 1, window 2, stride 3 in the others.
inline LayerPlan tiny_hybrid() { return LayerPlan::hybrid(6, {2, 3}, Pattern::sparse(1, 2, 3)); }

}  // namespace longgen
