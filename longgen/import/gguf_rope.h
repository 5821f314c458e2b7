// import/gguf_rope.h: the rotary embedding that a GGUF file's metadata asks for.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/checkpoint/gguf.h"
#include "longgen/model/config.h"
#include "longgen/model/family.h"

namespace longgen {

/// The name of a tensor with one divisor for each frequency (Llama 3.1).
inline constexpr const char* kGgufRopeFactors = "rope_freqs.weight";

/// Reads the architecture's keys rope.* ("llama.rope.freq_base") and the tensor rope_freqs.weight
/// into rope, and of a family whose layers with a window have a RoPE of their own that one's base.
/// Head size and context are read already. Throws Error naming the key, what was expected and what
/// was found, also on what RopeConfig cannot say.
void read_gguf_ropes(const GgufFile& file, const Family& family, ModelConfig& config);

}  // namespace longgen
