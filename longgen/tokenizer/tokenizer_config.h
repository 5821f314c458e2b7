// tokenizer/tokenizer_config.h: what the files beside tokenizer.json say about tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/tokenizer/added_tokens.h"
#include "longgen/tokenizer/bpe_model.h"

namespace longgen {

struct ConfiguredToken {
  AddedToken token;           ///< its id is -1 where the file gives none
  bool has_settings = false;  ///< lstrip and the like count where tokenizer.json has the token too
  bool is_named = false;      ///< bos_token and the like: special, whatever its settings say
};

/// tokenizer_config.json, added_tokens.json and special_tokens_map.json, as transformers reads them
/// beside a tokenizer.json.
struct TokenizerConfig {
  std::string source;  ///< path of tokenizer_config.json, for messages
  /// The tokens of added_tokens_decoder by id, then the named ones (bos_token, pad_token and any
  /// other field that ends in _token), then extra_special_tokens or additional_special_tokens.
  /// added_tokens.json and special_tokens_map.json count where there is no added_tokens_decoder.
  std::vector<ConfiguredToken> tokens;
  /// These repeat what tokenizer.json says. Where the two differ, tokenizer.json counts.
  std::optional<bool> add_bos, add_eos, add_prefix_space;
};

/// Reads the files; missing ones are passed over. Throws Error naming file and field, also for a
/// field that asks for what longgen does not do (do_lower_case and the like).
TokenizerConfig read_tokenizer_config(const fs::path& model_directory);

/// Adds the configured tokens to `tokens`, those of tokenizer.json. A token that has no id and is
/// not in the vocabulary gets the next free one. Returns whether anything changed. Throws Error
/// where a token of tokenizer.json has another id.
bool add_configured_tokens(const std::vector<ConfiguredToken>& configured, const BpeModel& model,
                           std::vector<AddedToken>& tokens);

}  // namespace longgen
