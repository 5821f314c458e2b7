// tests/unit/serve/bad_logits.h: an engine whose logits are no numbers for one request.
#pragma once

#include <limits>
#include <span>

#include "longgen/serve/serving_options.h"

namespace longgen {

/// Options with which the last sequence of a step gets logits that are NaN where that step reads 20
/// of its tokens.
inline ServingOptions with_bad_logits(ServingOptions options) {
  options.step = [](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    BatchResult result = engine.step(parts, step);
    if (parts.back().tokens.size() == 20) {
      result.logits_BV[-1].fill_(std::numeric_limits<float>::quiet_NaN());
    }
    return result;
  };
  return options;
}

}  // namespace longgen
