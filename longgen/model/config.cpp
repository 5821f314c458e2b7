#include "longgen/model/config.h"

#include <algorithm>
#include <array>

#include "longgen/base/check.h"
#include "longgen/model/config_rope.h"
#include "longgen/model/model_path.h"

namespace longgen {
namespace {

// Far above every published model, far below what would overflow a product of two in 64 bits.
constexpr int64_t kMaxLayers = 10'000, kMaxWidth = 1 << 20, kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = int64_t{1} << 40, kMaxHeadSize = 256;
constexpr double kMaxRopeBase = 1e15;

struct Family {
  const char* name;
  const char* architecture;
};
constexpr std::array<Family, 4> kFamilies = {{{"llama", "LlamaForCausalLM"},
                                              {"mistral", "MistralForCausalLM"},
                                              {"qwen2", "Qwen2ForCausalLM"},
                                              {"qwen3", "Qwen3ForCausalLM"}}};

const Family& find_family(const std::string& name, const std::string& where) {
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
  }
  LG_FAIL(where, ": expected llama, mistral, qwen2 or qwen3, found \"", name,
          "\". longgen has these four families (Llama 2 to 3.2 and SmolLM2 are llama, Qwen2.5 is "
          "qwen2).");
}

void read_sizes(const JsonObject& json, ModelConfig& config) {
  config.num_layers = json.integer("num_hidden_layers", 1, kMaxLayers);
  config.width = json.integer("hidden_size", 1, kMaxWidth);
  config.ffn_width = json.integer("intermediate_size", 1, kMaxWidth);
  config.vocab_size = json.integer("vocab_size", 1, kMaxVocab);
  config.num_heads = json.integer("num_attention_heads", 1, kMaxWidth);
  const int64_t default_kv_heads = config.family == "mistral" ? 8 : config.num_heads;
  config.num_kv_heads = json.integer("num_key_value_heads", 1, config.num_heads, default_kv_heads);
  LG_CHECK(config.num_heads % config.num_kv_heads == 0, json.where("num_key_value_heads"),
           ": expected a divisor of num_attention_heads, ", config.num_heads, ", found ",
           config.num_kv_heads, ".");
  if (json.has("head_dim")) {
    config.head_size = json.integer("head_dim", 2, kMaxHeadSize);
  } else if (config.family == "qwen3") {
    config.head_size = 128;
  } else {
    LG_CHECK(config.width % config.num_heads == 0, json.where("hidden_size"),
             ": expected a multiple of num_attention_heads, ", config.num_heads, ", found ",
             config.width, ".");
    config.head_size = config.width / config.num_heads;
  }
  LG_CHECK(config.head_size >= 2 && config.head_size <= kMaxHeadSize && config.head_size % 2 == 0,
           json.where("head_dim"), ": expected an even head size from 2 to ", kMaxHeadSize,
           ", found ", config.head_size, ".");
  config.context = json.integer("max_position_embeddings", 1, kMaxContext, 2048);
}

void read_flags(const JsonObject& json, ModelConfig& config) {
  config.norm_eps = json.number("rms_norm_eps", 0, 1, 1e-6);
  config.init_std = json.number("initializer_range", 0, 100, 0.02);
  config.tied_embeddings = json.boolean("tie_word_embeddings", false);
  const bool reads_bias = config.family == "llama" || config.family == "qwen3";
  const bool attention_bias = reads_bias && json.boolean("attention_bias", false);
  config.qkv_bias = attention_bias || config.family == "qwen2";
  config.output_bias = attention_bias;
  config.mlp_bias = config.family == "llama" && json.boolean("mlp_bias", false);
  config.qk_norm = config.family == "qwen3";
}

/// What transformers would run differently from longgen.
void refuse_unknown_features(const JsonObject& json, const ModelConfig& config) {
  const std::string activation = json.string("hidden_act", "silu");
  LG_CHECK(activation == "silu", json.where("hidden_act"), ": expected \"silu\", found \"",
           activation, "\". longgen has no other activation.");
  LG_CHECK(!json.has("quantization_config"), json.where("quantization_config"),
           ": the weights are quantized. Use the unquantized model, or a GGUF file.");
  LG_CHECK(!json.boolean("use_sliding_window", false), json.where("use_sliding_window"),
           ": expected false, found true. longgen does not import sliding-window models.");
  if (config.family == "mistral" && json.has("sliding_window")) {
    const int64_t window = json.integer("sliding_window", 1, kMaxContext);
    LG_CHECK(window >= config.context, json.where("sliding_window"), ": expected null or at least ",
             "max_position_embeddings, ", config.context, ", found ", window,
             ". longgen does not import sliding-window models (Mistral v0.1); later versions have "
             "none.");
  }
  if (!json.has("layer_types")) return;
  LG_CHECK(json.raw("layer_types").is_array(), json.where("layer_types"), ": expected a list.");
  for (const Json& type : json.raw("layer_types")) {
    LG_CHECK(type == "full_attention", json.where("layer_types"),
             ": expected only \"full_attention\", found ", dump_json(type).substr(0, 60), ".");
  }
}

void read_tokens(const JsonObject& json, ModelConfig& config) {
  const int64_t last = config.vocab_size - 1;
  if (json.has("bos_token_id")) config.bos_id = json.integer("bos_token_id", 0, last);
  if (!json.has("eos_token_id")) return;
  if (json.raw("eos_token_id").is_array()) {
    config.eos_ids = json.integers("eos_token_id", 0, last);
  } else {
    config.eos_ids = {json.integer("eos_token_id", 0, last)};
  }
}

void read_hybrid(const JsonObject& json, ModelConfig& config) {
  config.layers = LayerPlan::all_full(config.num_layers);
  config.original_context = config.context;
  config.original_rope_base = config.rope.base;
  if (!json.has("longgen")) return;
  const JsonObject hybrid = json.object("longgen");
  config.original_context = hybrid.integer("original_context", 1, kMaxContext, config.context);
  config.original_rope_base =
      hybrid.number("original_rope_base", 1 + 1e-9, kMaxRopeBase, config.rope.base);
  config.layers.full_layers = hybrid.integers("full_layers", 0, config.num_layers - 1);
  const std::vector<int64_t>& layers = config.layers.full_layers;
  LG_CHECK(std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<>()) == layers.end(),
           hybrid.where("full_layers"), ": expected ascending layers, each once.");
  if (!hybrid.has("pattern")) {
    LG_CHECK(!config.is_hybrid(), hybrid.where("pattern"), " is missing: it says what the ",
             config.num_layers - layers.size(), " sparse layers see.");
    return;
  }
  const JsonObject pattern = hybrid.object("pattern");
  const int64_t block = pattern.integer("block", 1, kMaxContext, Pattern::kBlock);
  LG_CHECK(block == Pattern::kBlock, pattern.where("block"), ": expected ", Pattern::kBlock,
           ", found ", block, ".");
  std::vector<int64_t> offsets;
  if (pattern.has("stride_offsets")) offsets = pattern.integers("stride_offsets", 0, kMaxContext);
  try {
    config.layers.sparse =
        Pattern::sparse(pattern.integer("sink_blocks", 0, kMaxContext),
                        pattern.integer("window_blocks", 0, kMaxContext),
                        pattern.integer("stride_blocks", 0, kMaxContext, 0), std::move(offsets));
    config.layers.sparse.for_heads(config.num_kv_heads);
  } catch (const Error& error) {
    LG_FAIL(hybrid.where("pattern"), ": ", error.what());
  }
}

Json dump_hybrid(const ModelConfig& config) {
  const Pattern& sparse = config.layers.sparse;
  Json pattern = {{"block", Pattern::kBlock},
                  {"sink_blocks", sparse.sink_blocks()},
                  {"window_blocks", sparse.window_blocks()},
                  {"stride_blocks", sparse.stride_blocks()}};
  if (!sparse.stride_offsets().empty()) pattern["stride_offsets"] = sparse.stride_offsets();
  return {{"full_layers", config.layers.full_layers},
          {"pattern", std::move(pattern)},
          {"original_context", config.original_context},
          {"original_rope_base", config.original_rope_base}};
}

}  // namespace

int64_t ModelConfig::num_parameters() const {
  const int64_t q = num_heads * head_size, kv = num_kv_heads * head_size;
  int64_t layer = width * (q + 2 * kv) + q * width + 3 * width * ffn_width + 2 * width;
  if (qkv_bias) layer += q + 2 * kv;
  if (output_bias) layer += width;
  if (mlp_bias) layer += 2 * ffn_width + width;
  if (qk_norm) layer += 2 * head_size;
  const int64_t embeddings = vocab_size * width * (tied_embeddings ? 1 : 2);
  return embeddings + num_layers * layer + width;
}

ModelConfig parse_model_config(const std::string& text, const std::string& source) {
  ModelConfig config;
  config.raw = parse_json(text, source);
  const JsonObject json(config.raw, source);
  config.family = json.string("model_type");
  find_family(config.family, json.where("model_type"));
  read_sizes(json, config);
  read_flags(json, config);
  refuse_unknown_features(json, config);
  config.rope = parse_rope(json, config.context);
  read_tokens(json, config);
  read_hybrid(json, config);
  return config;
}

ModelConfig load_model_config(const fs::path& model_directory) {
  const fs::path file = model_directory / "config.json";
  expect_model_directory(model_directory);
  constexpr int64_t kMaxBytes = 16 << 20;
  return parse_model_config(read_file(file, kMaxBytes), file.string());
}

void set_stored_dtype(ModelConfig& config, std::string_view dtype) {
  const char* name = dtype == "BF16" ? "bfloat16" : dtype == "F16" ? "float16" : "float32";
  config.raw.erase("dtype");  // transformers 5; it reads the older name as well
  config.raw["torch_dtype"] = name;
}

std::string dump_model_config(const ModelConfig& config) {
  Json json = config.raw.is_object() ? config.raw : Json::object();
  json["model_type"] = config.family;
  if (!json.contains("architectures")) {
    json["architectures"] = {find_family(config.family, "[config] family").architecture};
  }
  json["num_hidden_layers"] = config.num_layers;
  json["hidden_size"] = config.width;
  json["intermediate_size"] = config.ffn_width;
  json["vocab_size"] = config.vocab_size;
  json["num_attention_heads"] = config.num_heads;
  json["num_key_value_heads"] = config.num_kv_heads;
  json["head_dim"] = config.head_size;
  json["max_position_embeddings"] = config.context;
  json["rms_norm_eps"] = config.norm_eps;
  json["initializer_range"] = config.init_std;
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["hidden_act"] = "silu";
  if (config.family == "llama" || config.family == "qwen3") {
    json["attention_bias"] = config.qkv_bias;
  }
  if (config.family == "llama") json["mlp_bias"] = config.mlp_bias;
  if (config.family == "mistral") json["sliding_window"] = nullptr;
  write_rope(config.rope, json);
  if (config.bos_id) json["bos_token_id"] = *config.bos_id;
  if (config.eos_ids.size() == 1) json["eos_token_id"] = config.eos_ids[0];
  if (config.eos_ids.size() > 1) json["eos_token_id"] = config.eos_ids;
  json.erase("longgen");
  const bool is_changed =
      config.original_context != config.context || config.original_rope_base != config.rope.base;
  if (config.is_hybrid() || is_changed) {
    json["longgen"] = dump_hybrid(config);
  }
  return dump_json(json, 2) + "\n";
}

}  // namespace longgen
