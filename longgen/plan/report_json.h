// plan/report_json.h: parts that the JSON of a plan and of a description share.
#pragma once

#include "longgen/base/json.h"
#include "longgen/model/config.h"
#include "longgen/plan/work.h"

namespace longgen {

/// Family, sizes, flags, context and RoPE.
OrderedJson model_to_json(const ModelConfig& config);
OrderedJson parameters_to_json(const ParameterCounts& counts);
/// {"full_layers": [...], "pattern": "sink=1,window=16,stride=0"}; the pattern is null where every
/// layer is full.
OrderedJson layers_to_json(const LayerPlan& layers, int64_t num_layers);

}  // namespace longgen
