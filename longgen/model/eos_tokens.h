// model/eos_tokens.h: eos_token_id, which config.json and generation_config.json have.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"

namespace longgen {

/// Reads eos_token_id: a number or a list of them, none where it is absent. Throws Error naming the
/// field on an id outside the vocabulary.
std::vector<int64_t> read_eos_ids(const JsonObject& json, int64_t vocab_size);
/// Reads it from a file, where it is none if the file is missing.
std::vector<int64_t> read_eos_ids(const fs::path& file, int64_t vocab_size);

}  // namespace longgen
