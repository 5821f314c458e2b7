// import/gguf_rope.h: the rotary embedding that a GGUF file's metadata asks for.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/checkpoint/gguf.h"
#include "longgen/model/config.h"

namespace longgen {

/// The name of a tensor with one divisor for each frequency (Llama 3.1).
inline constexpr const char* kGgufRopeFactors = "rope_freqs.weight";

/// Reads the keys PREFIX rope.* ("llama.rope.freq_base") and the tensor rope_freqs.weight.
/// `context` is the model's context length. Throws Error naming the key, what was expected and what
/// was found, also on what RopeConfig cannot say.
RopeConfig gguf_rope(const GgufFile& file, const std::string& prefix, int64_t head_size,
                     int64_t context);

}  // namespace longgen
