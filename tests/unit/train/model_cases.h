// What the tests of gradients share, on the CPU and on a GPU: kinds of tiny models and a packed
// batch of tokens.
#pragma once

#include <ATen/ATen.h>

#include <ostream>
#include <string>
#include <vector>

#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/train/backward_pass.h"
#include "tiny_run.h"

namespace longgen {

struct ModelCase {
  const char* name;
  const char* sparse;  // "" for a full model
  bool tied = false, qk_norm = false, bias = false;
};
inline void PrintTo(const ModelCase& c, std::ostream* out) { *out << c.name; }

/// Makes the config.json of a case from that of a plain Llama.
inline ModelConfig config_of(const ModelCase& c, Json json) {
  json["tie_word_embeddings"] = c.tied;
  json["attention_bias"] = json["mlp_bias"] = c.bias;
  if (c.qk_norm) {
    json["model_type"] = "qwen3";
    json["head_dim"] =
        json["hidden_size"].get<int64_t>() / json["num_attention_heads"].get<int64_t>();
  }
  ModelConfig config = parse_model_config(json.dump(), "config.json");
  if (*c.sparse != '\0') {
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

/// Makes documents that begin at doc_starts; every ninth row has no target.
inline MicroBatch packed_batch(int64_t num_tokens, const std::vector<int64_t>& doc_starts) {
  const at::Tensor tokens = (at::arange(num_tokens, at::kLong) * 37 + 11) % kTinyVocab;
  at::Tensor targets = (at::arange(num_tokens, at::kLong) * 53 + 2) % kTinyVocab;
  targets.slice(0, 0, num_tokens, 9).fill_(kNoTarget);
  return {tokens, targets, at::tensor(doc_starts, at::kLong)};
}

}  // namespace longgen
