#include "longgen/import/gguf_config.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/import/gguf_fields.h"
#include "longgen/import/gguf_rope.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/family.h"
#include "longgen/model/tensors.h"

namespace longgen {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 40;  // of ids and parts

const GgufFile::Tensor& embedding(const GgufFile& file) {
  const std::string name = gguf_name(TensorRole::kEmbedding);
  const GgufFile::Tensor* tensor = file.find(name);
  LG_CHECK(tensor != nullptr, file.source(), ": tensor ", name, " is missing.");
  LG_CHECK(tensor->shape.size() == 2, file.source(), ": tensor ", name,
           ": expected 2 dimensions, found ", tensor->shape.size(), ".");
  return *tensor;
}

/// Reads which layers have a sliding window. Where the family has none, or programs do not agree
/// about it, one that some token reaches the end of is refused.
void read_windows(const GgufFile& file, const Family& family, ModelConfig& config) {
  config.layers = LayerPlan::all_full(config.num_layers);
  const std::string prefix = std::string(family.gguf_architecture) + ".";
  const std::string key = prefix + "attention.sliding_window";
  const bool is_most = family.windows == Family::Windows::kMost;
  const int64_t window = is_most ? file.integer(key, 1, config_limits::kMaxContext)
                                 : file.integer(key, 0, kMaxCount, 0);  // 0: none
  if (!is_most && (window == 0 || window >= config.context)) return;
  LG_CHECK(is_most || family.windows == Family::Windows::kAll, file.where(key),
           ": expected none or at least ", prefix, "context_length, ", config.context, ", found ",
           window, ". longgen does not import sliding-window models of this architecture.");
  const int64_t period = is_most ? file.integer(prefix + "attention.sliding_window_pattern", 1,
                                                config_limits::kMaxLayers, 6)
                                 : config.num_layers + 1;
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if ((layer + 1) % period != 0) layers.push_back(layer);
  }
  config.layers = config.layers.with_windows(layers, window);
}

/// Gives query_pre_attn_scalar of Gemma 3, which its files do not hold: llama.cpp takes the head
/// size, but for the model of 62 layers (27B).
int64_t query_scalar(const ModelConfig& config) {
  constexpr int64_t kLayersOf27b = 62;
  return config.num_layers == kLayersOf27b ? config.width / config.num_heads : config.head_size;
}

/// Reads a count that GGUF may give for each layer: one number, or an array of equal ones.
int64_t count_of_all_layers(const GgufFile& file, const std::string& key, int64_t high,
                            int64_t num_layers) {
  const auto found = file.values().find(key);
  if (found == file.values().end() || found->second.type != GgufValueType::array) {
    return file.integer(key, 1, high);
  }
  const std::vector<int64_t> counts = file.integers(key, 0, high);
  LG_CHECK(static_cast<int64_t>(counts.size()) == num_layers, file.where(key),
           ": expected one number, or one for each of ", num_layers, " layers, found ",
           counts.size(), ".");
  for (size_t layer = 1; layer < counts.size(); ++layer) {
    LG_CHECK(counts[layer] == counts[0], file.where(key), ": expected the same in every layer, ",
             "found ", counts[0], " in layer 0 and ", counts[layer], " in layer ", layer,
             ". longgen's models have layers of one shape.");
  }
  LG_CHECK(counts[0] > 0, file.where(key), ": expected at least 1, found 0.");
  return counts[0];
}

void read_sizes(const GgufFile& file, const std::string& prefix, ModelConfig& config) {
  using namespace config_limits;
  config.num_layers = file.integer(prefix + "block_count", 1, kMaxLayers);
  const auto count = [&](const char* key, int64_t high) {
    return count_of_all_layers(file, prefix + key, high, config.num_layers);
  };
  config.width = file.integer(prefix + "embedding_length", 1, kMaxWidth);
  config.ffn_width = count("feed_forward_length", kMaxWidth);
  config.context = file.integer(prefix + "context_length", 1, kMaxContext);
  config.num_heads = count("attention.head_count", kMaxWidth);
  config.num_kv_heads = file.has(prefix + "attention.head_count_kv")
                            ? count("attention.head_count_kv", config.num_heads)
                            : config.num_heads;
  config.norm_eps = file.number(prefix + "attention.layer_norm_rms_epsilon", 0, 1);
  config.head_size = file.integer(prefix + "attention.key_length", 1, kMaxWidth,
                                  std::max<int64_t>(1, config.width / config.num_heads));
  const std::string value_length = prefix + "attention.value_length";
  const int64_t value_size = file.integer(value_length, 1, kMaxWidth, config.head_size);
  LG_CHECK(value_size == config.head_size, file.where(value_length),
           ": expected the head size of queries and keys, ", config.head_size, ", found ",
           value_size, ".");
  config.vocab_size = embedding(file).shape[0];
  config.tied_embeddings = file.find(gguf_name(TensorRole::kHead)) == nullptr;
}

/// Whether every layer has a bias beside each of the matrices. Throws Error where some are there
/// and others not: no model directory can say that.
bool has_biases(const GgufFile& file, ModelConfig config, const std::vector<TensorRole>& roles,
                const std::string& field) {
  config.qkv_bias = config.output_bias = config.mlp_bias = true;  // asks for every name
  std::string present, missing;
  for (const StoredTensor& stored : stored_tensors(config)) {
    if (!stored.place.is_bias) continue;
    if (std::find(roles.begin(), roles.end(), stored.place.role) == roles.end()) continue;
    std::string& first = file.find(stored.gguf_name) == nullptr ? missing : present;
    if (first.empty()) first = stored.gguf_name;
  }
  if (present.empty()) return false;
  LG_CHECK(missing.empty(), file.source(), ": tensor ", missing, " is missing, but ", present,
           " is there. longgen has these biases in every layer (", field, "), or in none.");
  return true;
}

/// Reads from the tensors which biases there are, where config.json of the family can say it. One
/// field may stand for several projections.
void read_biases(const GgufFile& file, const Family& family, ModelConfig& config) {
  struct Projection {
    BiasRule rule;
    std::vector<TensorRole> roles;
    const char* name;
    bool* has_bias;
  };
  const Projection projections[] = {
      {family.qkv_bias, {TensorRole::kQkv}, "q, k, v", &config.qkv_bias},
      {family.output_bias, {TensorRole::kOutput}, "output", &config.output_bias},
      {family.mlp_bias,
       {TensorRole::kGateUp, TensorRole::kDown},
       "gate, up and down",
       &config.mlp_bias}};
  for (const Projection& one : projections) {
    *one.has_bias = one.rule.otherwise;
    const std::string_view field = one.rule.field;
    if (field.empty()) continue;
    std::vector<TensorRole> roles;
    std::string names;
    for (const Projection& other : projections) {
      if (other.rule.field != field) continue;
      roles.insert(roles.end(), other.roles.begin(), other.roles.end());
      names += (names.empty() ? "" : " and ") + std::string(other.name);
    }
    *one.has_bias = has_biases(file, config, roles, one.rule.field + (": " + names));
  }
}

}  // namespace

ModelConfig gguf_config(const GgufFile& file) {
  const int64_t parts = file.integer("split.count", 0, kMaxCount, 1);
  LG_CHECK(parts <= 1, file.source(), ": this is one of ", parts,
           " parts of a split model. Merge them first (gguf-split --merge of llama.cpp).");
  ModelConfig config;
  const std::string named = "general.architecture";
  const Family& family = find_gguf_family(file.string(named), file.where(named));
  config.family = family.name;
  const std::string prefix = std::string(family.gguf_architecture) + ".";
  read_sizes(file, prefix, config);
  refuse_other_gguf_arithmetic(file, prefix, config);
  read_biases(file, family, config);
  read_windows(file, family, config);
  if (family.default_query_scalar > 0) config.query_scalar = query_scalar(config);
  read_gguf_ropes(file, family, config);
  config.original_context = config.context;
  config.original_rope_base = config.rope.base;
  const auto token = [&](const char* key) -> std::optional<int64_t> {
    if (!file.has(key)) return std::nullopt;
    return file.integer(key, 0, config.vocab_size - 1);
  };
  config.bos_id = token("tokenizer.ggml.bos_token_id");
  if (const auto eos = token("tokenizer.ggml.eos_token_id")) config.eos_ids = {*eos};
  // The text goes through the same checks as a config.json from outside.
  return parse_model_config(dump_model_config(config), file.source() + " (as config.json)");
}

GgufVocabulary gguf_vocabulary(const GgufFile& file) {
  const std::string prefix = "tokenizer.ggml.";
  const auto integer = [&](const std::string& key) -> std::optional<int64_t> {
    if (!file.has(prefix + key)) return std::nullopt;
    return file.integer(prefix + key, 0, kMaxCount);
  };
  const auto boolean = [&](const std::string& key) -> std::optional<bool> {
    if (!file.has(prefix + key)) return std::nullopt;
    return file.boolean(prefix + key);
  };
  GgufVocabulary vocabulary;
  vocabulary.source = file.source();
  vocabulary.model = file.string(prefix + "model");
  vocabulary.pre = file.string(prefix + "pre", "");
  vocabulary.tokens = file.strings(prefix + "tokens");
  if (file.has(prefix + "merges")) vocabulary.merges = file.strings(prefix + "merges");
  if (file.has(prefix + "scores")) vocabulary.scores = file.floats(prefix + "scores");
  if (file.has(prefix + "token_type")) {
    vocabulary.token_types = file.integers(prefix + "token_type");
  }
  vocabulary.bos_id = integer("bos_token_id");
  vocabulary.eos_id = integer("eos_token_id");
  vocabulary.unk_id = integer("unknown_token_id");
  vocabulary.pad_id = integer("padding_token_id");
  vocabulary.add_bos = boolean("add_bos_token");
  vocabulary.add_eos = boolean("add_eos_token");
  vocabulary.add_space_prefix = boolean("add_space_prefix");
  if (file.has("tokenizer.chat_template")) {
    vocabulary.chat_template = file.string("tokenizer.chat_template");
  }
  return vocabulary;
}

std::string gguf_generation_config(const GgufFile& file) {
  const int64_t last = embedding(file).shape[0] - 1;
  OrderedJson json = OrderedJson::object();
  const auto copy = [&](const std::string& key, const char* name) {
    const std::string full = "tokenizer.ggml." + key;
    if (file.has(full)) json[name] = file.integer(full, 0, last);
  };
  copy("bos_token_id", "bos_token_id");
  copy("eos_token_id", "eos_token_id");
  copy("padding_token_id", "pad_token_id");
  const std::string end_of_turn = "tokenizer.ggml.eot_token_id";
  if (file.has(end_of_turn)) {
    const int64_t id = file.integer(end_of_turn, 0, last);
    if (!json.contains("eos_token_id")) json["eos_token_id"] = id;
    if (json["eos_token_id"] != id) json["eos_token_id"] = {json["eos_token_id"], id};
  }
  return dump_json(json, 2) + "\n";
}

}  // namespace longgen
