// api/stop_tokens.h: the tokens that end a model's text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Gives eos_token_id of generation_config.json and of config.json (each a number or a list), and
/// the stop tokens of the chat template (`names`), each once. Throws Error on an id that is not in
/// the vocabulary.
std::vector<int32_t> find_stop_tokens(const Tokenizer& tokenizer, const fs::path& model_directory,
                                      const std::vector<std::string>& names = {});

}  // namespace longgen
