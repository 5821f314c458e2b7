// import/model_files.h: the files of a model directory besides config.json and weights.
#pragma once

#include "longgen/base/files.h"
#include "longgen/model/config.h"

namespace longgen {

/// Throws Error where a command that runs the model would: tokenizer.json must be there and be one
/// that longgen reads; tokenizer_config.json and generation_config.json, if there, must be JSON
/// objects, and the token ids of the latter must be below the vocabulary's size.
void check_model_files(const fs::path& directory, const ModelConfig& config);

/// Copies the files into a folder that exists: tokenizer.json (tokenizer.model, vocab.json,
/// merges.txt, tokenizer_config.json, special_tokens_map.json, added_tokens.json), chat templates
/// (chat_template.jinja, chat_template.json, additional_chat_templates/), generation_config.json,
/// and files whose name begins with LICENSE, LICENCE, NOTICE, COPYING or USE_POLICY in any case. A
/// README stays behind: it describes the model that it stands beside. Throws Error if there is no
/// tokenizer.json, and when a file cannot be written.
void copy_model_files(const fs::path& from, const fs::path& to);

}  // namespace longgen
