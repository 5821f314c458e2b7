// What the tests of sessions share: a hybrid with random weights, tokens, and the plain forward
// pass that they are compared with.
#pragma once

#include <ATen/ATen.h>

#include <limits>
#include <string>
#include <vector>

#include "longgen/engine/session.h"
#include "tests/numerics/attend_cases.h"
#include "tests/unit/model/test_support.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {

inline constexpr int64_t kVocab = 320;  // more than tiny_tokenizer() has

/// Makes the tokenizer of byte_level_json() with its special token on the first id that is free:
/// every id up to the last one, 265, has a token.
inline Tokenizer tiny_tokenizer() {
  Json json = byte_level_json();
  json["added_tokens"][0]["id"] = 265;
  return make_tokenizer(json);
}

/// Makes a config of 3 layers, of which the middle one is full.
inline ModelConfig hybrid_config(const std::string& pattern) {
  Json json = tiny_json();
  json["vocab_size"] = kVocab;
  json["initializer_range"] = 0.1;
  ModelConfig config = parse(json);
  config.layers = LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse(pattern));
  return config;
}

struct TinyDecoder {
  explicit TinyDecoder(const std::string& pattern = "sink=1,window=2,stride=3")
      : config(hybrid_config(pattern)),
        weights(random_weights(config, at::kFloat, 5)),
        decoder(config, weights) {}
  ModelConfig config;
  ModelWeights weights;
  Decoder decoder;
};

inline std::vector<int32_t> some_ids(int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i * 7 + 11) % 251));
  return ids;
}

/// Returns logits (T, V) that follow every token, in one pass without a cache.
inline at::Tensor logits_of(const Decoder& decoder, const std::vector<int32_t>& ids) {
  const at::NoGradGuard no_grad;
  BatchContext context(static_cast<int64_t>(ids.size()));
  const at::Tensor tokens = at::tensor(ids, at::kInt).to(at::kLong);
  return decoder.logits(decoder.forward(tokens, context));
}

/// Bounds the rounding of three fp32 layers in another order: a few units in the last place of the
/// largest value.
inline double rounding(const at::Tensor& values) {
  return 64 * std::numeric_limits<float>::epsilon() * max_abs(values);
}

}  // namespace longgen
