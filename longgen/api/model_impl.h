// api/model_impl.h: what stands behind a Model.
#pragma once

#include <string>

#include "longgen/api/load.h"
#include "longgen/api/longgen.h"

namespace longgen {

/// It does not change once it is made.
struct Model::Impl {
  std::string directory, dtype;
  LoadedModel loaded;
  ModelFacts facts;

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const;
};

}  // namespace longgen
