// serve/random_model.h: a model of known sizes with random weights, to measure a server with.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/api/load.h"

namespace longgen {

struct RandomModelOptions {
  std::string layers = {},
              sparse = {};  ///< for parse_layer_plan(); no layers: as the model has them
  int64_t context = 0;      ///< 0: the model's
};

/// Gives a tokenizer of as many tokens, of which token 17 stands for the text " 17". It reads no
/// texts.
Tokenizer numbered_tokenizer(int64_t vocab_size);

/// Makes a preset, or a directory's config.json, into a model with random weights and a
/// numbered_tokenizer(). Throws Error as open_computation() does, where there is neither preset nor
/// directory, and where the layers cannot be as asked.
LoadedModel random_model(const std::string& preset_or_directory, const RandomModelOptions& options,
                         const ModelOptions& model_options);

}  // namespace longgen
