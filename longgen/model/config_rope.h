// model/config_rope.h: the RoPE fields of config.json, as transformers 4 and 5 write them.
#pragma once

#include "longgen/model/config.h"
#include "longgen/model/family.h"

namespace longgen {

/// Reads rope_theta and rope_scaling (transformers 4), or rope_parameters (5), into rope; of a
/// family whose layers with a window have a RoPE of their own that one into window_rope, too, from
/// rope_local_base_freq or rope_parameters.sliding_attention. The context is read already. Throws
/// Error naming the field: on kinds that longgen does not have, on fields without a meaning in
/// their kind, and where two places of one file disagree.
void read_ropes(const JsonObject& json, const Family& family, ModelConfig& config);

/// Reads and writes one RoPE as an object of its own: rope_theta, rope_type and what the type has
/// besides. read_rope() throws Error as read_ropes() does.
RopeConfig read_rope(const JsonObject& json, int64_t context);
Json write_rope(const RopeConfig& rope);

/// Sets rope_theta, rope_scaling and what the family has besides, which both versions read, and
/// removes the other places that hold the same numbers.
void write_ropes(const ModelConfig& model, Json& config);

}  // namespace longgen
