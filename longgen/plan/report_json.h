// plan/report_json.h: what the reports of a plan and of a description share.
#pragma once

#include <string>

#include "longgen/base/json.h"
#include "longgen/model/config.h"
#include "longgen/plan/work.h"

namespace longgen {

/// Gives "none", "linear", "llama3" or "yarn".
std::string rope_scaling_name(RopeConfig::Scaling scaling);

/// Gives family, sizes, flags, context and RoPE.
OrderedJson model_to_json(const ModelConfig& config);
OrderedJson parameters_to_json(const ParameterCounts& counts);
/// Gives {"full_layers": [...], "pattern": "sink=1,window=16,stride=0"}; the pattern is null where
/// no layer is sparse. Windows of the family's own add {"other_classes": [{"pattern":
/// "window_tokens=512", "layers": [...]}]}.
OrderedJson layers_to_json(const LayerPlan& layers);

}  // namespace longgen
