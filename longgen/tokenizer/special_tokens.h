// tokenizer/special_tokens.h: which tokens a model directory calls bos_token, eos_token and so on.
#pragma once

#include <array>
#include <map>
#include <string>

#include "longgen/base/files.h"

namespace longgen {

/// The special tokens that transformers has names for, in the order in which it adds them.
inline constexpr std::array kSpecialTokenNames = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

/// Reads the special tokens by name from tokenizer_config.json and from special_tokens_map.json,
/// where each is a text or an object with `content`. The older file, special_tokens_map.json, is
/// read only where the newer one has no list of tokens (added_tokens_decoder), and goes first then,
/// as in transformers. An empty text stands for no token. Missing files are passed over. Throws
/// Error naming file and field.
std::map<std::string, std::string> read_special_tokens(const fs::path& model_directory);

}  // namespace longgen
