// import/gguf_fields.h: every key of a GGUF file's architecture is read, known to have no effect,
// refused, or named in a warning, as config_fields.h does it for config.json.
#pragma once

#include <string>

#include "longgen/checkpoint/gguf.h"
#include "longgen/model/config.h"

namespace longgen {

/// Refuses keys PREFIX ... ("llama.expert_count") that ask for an arithmetic which longgen does not
/// have, and a file that is no model (general.type). A value that changes nothing is accepted.
void refuse_other_gguf_arithmetic(const GgufFile& file, const std::string& prefix,
                                  const ModelConfig& config);

/// Warns once, naming the keys of the architecture that longgen does not know, if there are any
/// such keys.
void warn_of_unknown_keys(const GgufFile& file, const ModelConfig& config);

}  // namespace longgen
