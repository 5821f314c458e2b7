#include "longgen/serve/random_model.h"

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/units.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/measured_plan.h"
#include "longgen/plan/presets.h"

namespace longgen {
namespace {

constexpr uint64_t kSeed = 1;

ModelConfig random_config(const std::string& name, const RandomModelOptions& options) {
  ModelConfig config = preset_or_directory(name);
  if (options.context > 0) config.context = options.context;
  LG_CHECK(config.context <= config_limits::kMaxContext, "--context: expected at most ",
           format_count(config_limits::kMaxContext), " tokens, found ",
           format_count(config.context), ".");
  if (!options.layers.empty()) {
    const std::string sparse = options.sparse.empty() ? "sink" : options.sparse;
    config.layers = parse_layer_plan(options.layers, sparse, config);
  }
  return config;
}

}  // namespace

Tokenizer numbered_tokenizer(int64_t vocab_size) {
  OrderedJson vocab = OrderedJson::object();
  // U+0120 stands for a space in byte-level tokens.
  for (int64_t id = 0; id < vocab_size; ++id) vocab["\u0120" + std::to_string(id)] = id;
  const OrderedJson json = {
      {"version", "1.0"},
      {"added_tokens", OrderedJson::array()},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", OrderedJson::array()}}}};
  return Tokenizer::from_json(dump_json(json), "tokens by their numbers");
}

LoadedModel random_model(const std::string& preset_or_directory, const RandomModelOptions& options,
                         const ModelOptions& model_options) {
  const ModelConfig config = random_config(preset_or_directory, options);
  const Computation computation = open_computation(model_options);
  return {Decoder(config, random_weights(config, computation.dtype, kSeed, computation.device)),
          numbered_tokenizer(config.vocab_size)};
}

}  // namespace longgen
