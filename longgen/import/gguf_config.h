// import/gguf_config.h: what a GGUF file's metadata says, in the terms of a model directory.
#pragma once

#include <string>

#include "longgen/checkpoint/gguf.h"
#include "longgen/model/config.h"
#include "longgen/tokenizer/gguf_vocabulary.h"

namespace longgen {

/// Reads the config of a family that has GGUF files (model/family.h). Throws Error naming the key,
/// what was expected and what was found.
ModelConfig gguf_config(const GgufFile& file);

/// Reads the tokenizer.* metadata.
GgufVocabulary gguf_vocabulary(const GgufFile& file);

/// Makes the text of generation_config.json: the tokens that begin and end a text.
std::string gguf_generation_config(const GgufFile& file);

}  // namespace longgen
