// What the tests of training share: a tiny model directory, a dataset, a recipe for them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/data/text_encoder.h"
#include "longgen/model/model_directory.h"
#include "longgen/tokenizer/byte_alphabet.h"
#include "longgen/train/trainer.h"

namespace longgen {

inline constexpr int64_t kTinyVocab = 257;  // 256 bytes and <|end|>

/// Returns the config.json of a Llama of 3 layers, 4 heads on 2 KV heads of 8.
inline Json tiny_config() {
  return {{"model_type", "llama"},    {"num_hidden_layers", 3},
          {"hidden_size", 32},        {"intermediate_size", 48},
          {"vocab_size", kTinyVocab}, {"num_attention_heads", 4},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 256},
          {"rope_theta", 10000.0},    {"initializer_range", 0.08},
          {"eos_token_id", 256}};
}

/// Returns a tokenizer in which byte b is token b, and <|end|> is 256.
inline Json byte_tokenizer() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[byte_to_char(static_cast<unsigned char>(byte))] = byte;
  }
  return {
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", 256}, {"content", "<|end|>"}, {"special", true}, {"normalized", false}}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

/// Writes a model directory with random weights, changed by `edit`.
inline void write_tiny_model(
    const fs::path& directory, const Json& config_json, uint64_t seed,
    const std::function<void(ModelWeights&)>& edit = [](ModelWeights&) {}) {
  fs::create_directories(directory);
  const ModelConfig config = parse_model_config(config_json.dump(), "config.json");
  ModelWeights weights = random_weights(config, at::kFloat, seed);
  edit(weights);
  save_model(directory, config, weights, at::kFloat);
  write_file(directory / "tokenizer.json", byte_tokenizer().dump());
}

/// Makes a model of finite weights whose loss is infinite wherever this token is read, and like any
/// other model's elsewhere: the token alone has the last number of the residual stream, which no
/// layer writes and the second one's feed-forward network multiplies by 1e30, squared.
inline void make_overflow(ModelWeights& weights, int64_t token) {
  const int64_t last = weights.embedding_VE.size(1) - 1;
  weights.embedding_VE.select(1, last).zero_();
  weights.embedding_VE[token][last] = 1;
  for (LayerWeights& layer : weights.layers) {
    layer.linear(TensorRole::kOutput).weight[last].zero_();
    layer.linear(TensorRole::kDown).weight[last].zero_();
  }
  weights.layers[1].linear(TensorRole::kGateUp).weight.select(1, last).fill_(1e30);
}

/// Returns words in a random order, which is the same on every machine.
inline std::string words(std::mt19937& random, int count) {
  static const char* const kWords[] = {"the",  "sea",  "under", "a",    "grey", "sky", "was",
                                       "calm", "ship", "sails", "long", "and",  "far", "north"};
  std::string text;
  for (int i = 0; i < count; ++i) text += std::string(i == 0 ? "" : " ") + kWords[random() % 14];
  return text;
}

inline std::vector<std::string> documents(int count, int words_each, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(words(random, words_each / 2 + static_cast<int>(random() % words_each)));
  }
  return all;
}

/// Writes the token dataset of these documents, with the model's tokenizer.
inline void write_dataset(const fs::path& directory, const fs::path& model,
                          const std::vector<std::string>& documents, double held_out = 0) {
  std::string lines;
  for (const std::string& text : documents) lines += Json{{"text", text}}.dump() + "\n";
  const fs::path corpus = directory.string() + ".jsonl";
  write_file(corpus, lines);
  PrepareOptions options;
  options.inputs = {corpus};
  options.output = directory;
  options.replace = true;
  options.held_out_share = held_out;
  options.show_progress = false;
  const Tokenizer tokenizer = Tokenizer::load(model);
  prepare_dataset(text_encoder(tokenizer, "bytes", std::nullopt, 256), options);
}

/// Makes a recipe for DIR/model, DIR/data and DIR/run: one full layer, two that see their block.
inline Recipe tiny_recipe(const fs::path& dir, const std::vector<std::string>& overrides = {}) {
  const std::string text = "[model]\npath = \"" + (dir / "model").string() + "\"\noutput = \"" +
                           (dir / "run").string() + "\"\n[data]\npath = \"" +
                           (dir / "data").string() +
                           "\"\n"
                           "sequence_length = 160\n"
                           "[architecture]\nlayers = \"1\"\nsparse = \"sink=0,window=1\"\n"
                           "context = 512\n"
                           "[train]\nsteps = 6\nbatch_size = 2\nlearning_rate = 0.002\n"
                           "warmup_steps = 2\nloss_chunk_rows = 100\nthreads = 1\n"
                           "[eval]\nevery = 0\n[save]\nevery = 0\n";
  return parse_recipe(text, "test.toml", overrides);
}

/// Returns the numbers of metrics.jsonl under one key, line by line.
inline std::vector<Json> metric(const fs::path& run, const std::string& key) {
  const std::string text = read_file(run / "metrics.jsonl");
  std::vector<Json> values;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const Json line = parse_json(text.substr(at, end - at), "metrics.jsonl");
    if (line.contains(key)) values.push_back(line[key]);
    at = end + 1;
  }
  return values;
}

inline std::string weights_file(const fs::path& run) {
  return read_file(run / "model" / "model.safetensors");
}

inline double max_abs(const at::Tensor& x) { return x.abs().max().item<double>(); }

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return max_abs(a.to(at::kDouble).sub(b.to(at::kDouble)));
}

}  // namespace longgen
