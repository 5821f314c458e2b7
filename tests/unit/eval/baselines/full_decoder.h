// What the tests of cache policies share: policies by name, and models whose layers are all full.
#pragma once

#include <stdexcept>
#include <string>

#include "longgen/eval/baselines/cache_policy.h"
#include "tests/unit/engine/tiny_decoder.h"
#include "tests/unit/model/model_kinds.h"

namespace longgen {

inline CachePolicy policy_of(const std::string& text) {
  return CachePolicy::parse(text, "--policy");
}

/// Weights large enough that attention is far from even.
inline Decoder full_decoder(const char* case_name) {
  Json json = tiny_json();
  json["vocab_size"] = kVocab;
  json["initializer_range"] = 0.25;
  for (const ModelCase& one : kModelCases) {
    if (std::string(one.name) != case_name) continue;
    const ModelConfig config = config_of(one, json);
    return {config, varied_weights(config, at::kFloat)};
  }
  throw std::logic_error("no such case");
}

}  // namespace longgen
