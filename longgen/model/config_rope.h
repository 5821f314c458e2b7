// model/config_rope.h: the RoPE fields of config.json, as transformers 4 and 5 write them.
#pragma once

#include "longgen/model/config.h"

namespace longgen {

/// Reads rope_theta and rope_scaling (transformers 4), or rope_parameters (5). `context` is
/// max_position_embeddings. Throws Error naming the field: on kinds that longgen does not have, on
/// fields without a meaning in their kind, and where two places of one file disagree.
RopeConfig parse_rope(const JsonObject& config, int64_t context);

/// Sets rope_theta and rope_scaling, which both versions read, and removes the other places that
/// hold the same numbers.
void write_rope(const RopeConfig& rope, Json& config);

}  // namespace longgen
