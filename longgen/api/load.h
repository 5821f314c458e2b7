// api/load.h: models as --device, --dtype and --threads ask for them.
#pragma once

#include <string>

#include "longgen/api/model_options.h"
#include "longgen/model/decoder.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Loads the GPU plug-in and looks at a GPU, counted from 0. Returns an empty string if it can be
/// used, otherwise what is missing, as a sentence.
std::string missing_for_gpu(int index = 0);
/// Opens the device that --device names, ready to compute: for a GPU the plug-in is loaded, and it
/// becomes the current one. Throws Error saying what is missing: there is no quiet fall back to
/// another one.
at::Device open_device(const std::string& name);

struct Computation {
  at::Device device;
  at::ScalarType dtype;
};
/// Opens the device, sets the number of threads, and returns what to compute with; what --dtype
/// auto chose is also said as information on stderr. Throws Error where the device does not compute
/// with the named type.
Computation open_computation(const ModelOptions& options);

/// Does what open_computation() does, and loads the model onto the device.
Decoder load_decoder(const std::string& directory, const ModelOptions& options);

/// Applies --threads, for commands that load models themselves.
void set_threads(int64_t threads);

/// Opens the tokenizer of a model directory; config.json may be missing. Throws Error saying what
/// the path is instead.
Tokenizer open_tokenizer(const std::string& directory);

struct LoadedModel {
  Decoder decoder;
  Tokenizer tokenizer;
};
/// Loads decoder and tokenizer. The tokenizer may have more tokens than the model (an added <pad>):
/// one of those is an error where it occurs in a text.
LoadedModel load_with_tokenizer(const std::string& directory, const ModelOptions& options);

}  // namespace longgen
