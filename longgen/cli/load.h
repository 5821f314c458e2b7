// cli/load.h: models as --device, --dtype and --threads ask for them.
#pragma once

#include <string>

#include "longgen/cli/options.h"
#include "longgen/model/decoder.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Sets the number of threads and loads the model. Throws Error where the device is not there:
/// there is no quiet fall back to another one.
Decoder load_decoder(const std::string& directory, const ModelOptions& options);

/// --threads, for commands that load models themselves.
void set_threads(int64_t threads);

struct LoadedModel {
  Decoder decoder;
  Tokenizer tokenizer;
};
/// Decoder and tokenizer; throws Error if the tokenizer knows ids that the model has not.
LoadedModel load_with_tokenizer(const std::string& directory, const ModelOptions& options);

}  // namespace longgen
