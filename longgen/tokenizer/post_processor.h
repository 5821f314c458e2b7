// tokenizer/post_processor.h: the tokens that stand before and after a text (BOS, EOS).
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/base/json.h"

namespace longgen {

struct PostProcessor {
  std::vector<int32_t> before, after;

  /// Reads field "post_processor": Sequence, TemplateProcessing (its `single` template), ByteLevel
  /// (which only moves offsets). Throws Error on others.
  static PostProcessor from_json(const JsonObject& root);
};

}  // namespace longgen
