// What the tests of running variants share: a decoder with random weights, and a sample for it.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <vector>

#include "longgen/measure/layer_walk.h"
#include "longgen/measure/sample.h"
#include "tests/unit/model/model_kinds.h"
#include "tests/unit/model/test_support.h"

namespace longgen {

inline constexpr int64_t kLength = 300;
inline Pattern tiny_sparse() { return Pattern::parse("sink=1,window=1"); }

/// Makes a decoder of 5 layers, all full.
inline Decoder tiny_decoder(int64_t num_layers = 5) {
  Json json = tiny_json(num_layers);
  json["initializer_range"] = 0.15;
  const ModelConfig config = parse(json);
  return {config, random_weights(config, at::kFloat, 7)};
}

inline std::vector<int32_t> some_ids(int64_t count = kLength) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i * 7 + 11) % 131));
  return ids;
}

/// Makes a sample whose answers are two places near the end, whatever stands there.
inline MeasureSample tiny_sample() {
  MeasureSample sample;
  sample.ids = some_ids();
  sample.answers = {{270, 273}, {290, 292}};
  for (int64_t t = 130; t < 260; ++t) sample.far_text.push_back(t);
  return sample;
}

/// Returns the hidden states of a whole pass of the model with these full layers.
inline at::Tensor whole_pass(const Decoder& model, const LayerSet& candidates, const LayerSet& full,
                             const std::vector<int32_t>& ids) {
  const at::NoGradGuard no_grad;
  ModelConfig config = model.config();
  for (const int64_t layer : candidates) {
    const bool is_full = std::find(full.begin(), full.end(), layer) != full.end();
    config.layers = config.layers.with_pattern({layer}, is_full ? Pattern() : tiny_sparse());
  }
  const Decoder decoder(config, model.weights());
  BatchContext context(static_cast<int64_t>(ids.size()));
  return decoder.forward(at::tensor(ids, at::kInt).to(at::kLong), context);
}

}  // namespace longgen
