#include "longgen/cli/load.h"

#include <ATen/Parallel.h>

#include <thread>

#include "longgen/base/check.h"
#include "longgen/model/model_directory.h"

namespace longgen {

void set_threads(int64_t threads) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(threads));
}

Decoder load_decoder(const std::string& directory, const ModelOptions& options) {
  LG_CHECK(options.device == "cpu",
           "--device cuda: this program was built without the GPU plug-in. Use --device cpu.");
  set_threads(options.threads);
  return load_model(directory, {.dtype = options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat});
}

LoadedModel load_with_tokenizer(const std::string& directory, const ModelOptions& options) {
  Tokenizer tokenizer = Tokenizer::load(directory);
  Decoder decoder = load_decoder(directory, options);
  LG_CHECK(tokenizer.vocab_size() <= decoder.config().vocab_size, directory,
           ": tokenizer.json has ids up to ", tokenizer.vocab_size() - 1,
           ", but config.json a vocab_size of ", decoder.config().vocab_size,
           ". The two belong to different models.");
  return {std::move(decoder), std::move(tokenizer)};
}

}  // namespace longgen
