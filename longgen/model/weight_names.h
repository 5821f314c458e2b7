// model/weight_names.h: the tensors that a model directory of this shape holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/model/config.h"

namespace longgen {

struct WeightShape {
  std::string name;            ///< "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  ///< matrices are (out, in)
};

/// Lists the tensors as they are written: embedding, layers, final norm, head (if not tied).
std::vector<WeightShape> weight_shapes(const ModelConfig& config);

/// Whether a tensor may stand in a model directory without being needed: inverse frequencies of old
/// exports, and a copy of the embedding as output layer of a tied model.
bool is_redundant_weight(const std::string& name, const ModelConfig& config);

}  // namespace longgen
