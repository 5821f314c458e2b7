// plan/describe.h: `longgen info`: what a model is, and what its KV cache takes.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/base/json.h"
#include "longgen/model/config.h"
#include "longgen/plan/number_format.h"
#include "longgen/plan/work.h"

namespace longgen {

struct ModelDescription {
  std::string model;  ///< what to call it: a preset or a directory
  ModelConfig config;
  ParameterCounts parameters;
  int64_t num_tokens = 0;  ///< that the KV bytes are for
  NumberFormat format = NumberFormat::bfloat16;
  int64_t kv_bytes = 0;       ///< that the model holds
  int64_t full_kv_bytes = 0;  ///< that it would hold if every layer were full

  double kept_share() const;
};

/// Describes a model and its cache of one sequence of num_tokens; 0 means the model's context.
/// Throws Error on a number of tokens below 0 or above KvLayout::kMaxTokens, and on sizes beyond
/// all counting.
ModelDescription describe_model(const std::string& model, const ModelConfig& config,
                                int64_t num_tokens = 0,
                                NumberFormat format = NumberFormat::bfloat16);

/// Writes lines "name  value" for people. The text ends in a newline.
std::string to_text(const ModelDescription& description);
OrderedJson to_json(const ModelDescription& description);

}  // namespace longgen
