#include "longgen/model/config.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/checkpoint/float_bytes.h"
#include "longgen/model/config_fields.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/config_rope.h"
#include "longgen/model/eos_tokens.h"
#include "longgen/model/family.h"
#include "longgen/model/model_path.h"
#include "longgen/model/stored_weights.h"
#include "longgen/model/tensors.h"

namespace longgen {
namespace {

using namespace config_limits;

void read_sizes(const JsonObject& json, const Family& family, ModelConfig& config) {
  config.num_layers = json.integer("num_hidden_layers", 1, kMaxLayers);
  config.width = json.integer("hidden_size", 1, kMaxWidth);
  config.ffn_width = json.integer("intermediate_size", 1, kMaxWidth);
  config.vocab_size = json.integer("vocab_size", 1, kMaxVocab);
  config.num_heads = json.integer("num_attention_heads", 1, kMaxWidth);
  const bool is_silent = !json.value().contains("num_key_value_heads");  // null: as many as heads
  config.num_kv_heads = json.integer(
      "num_key_value_heads", 1, config.num_heads,
      is_silent && family.default_kv_heads > 0 ? family.default_kv_heads : config.num_heads);
  LG_CHECK(config.num_heads % config.num_kv_heads == 0, json.where("num_key_value_heads"),
           ": expected a divisor of num_attention_heads, ", config.num_heads, ", found ",
           config.num_kv_heads, ".");
  if (json.has("head_dim")) {
    config.head_size = json.integer("head_dim", 2, kMaxHeadSize);
  } else if (family.default_head_size > 0) {
    config.head_size = family.default_head_size;
  } else {
    LG_CHECK(config.width % config.num_heads == 0, json.where("hidden_size"),
             ": expected a multiple of num_attention_heads, ", config.num_heads, ", found ",
             config.width, ".");
    config.head_size = config.width / config.num_heads;
  }
  LG_CHECK(config.head_size >= 2 && config.head_size <= kMaxHeadSize && config.head_size % 2 == 0,
           json.where("head_dim"), ": expected an even head size from 2 to ", kMaxHeadSize,
           ", found ", config.head_size, ".");
  config.context = json.integer("max_position_embeddings", 1, kMaxContext, family.default_context);
}

void read_flags(const JsonObject& json, const Family& family, ModelConfig& config) {
  config.norm_eps = json.number("rms_norm_eps", 0, 1, family.default_norm_eps);
  config.init_std = json.number("initializer_range", 0, 100, 0.02);
  config.tied_embeddings = json.boolean("tie_word_embeddings", family.default_tied);
  const auto bias = [&](const BiasRule& rule) {
    return *rule.field != '\0' ? json.boolean(rule.field, rule.otherwise) : rule.otherwise;
  };
  config.qkv_bias = bias(family.qkv_bias);
  config.output_bias = bias(family.output_bias);
  config.mlp_bias = bias(family.mlp_bias);
  config.qk_norm = family.has_qk_norm;
  config.post_norms = family.has_post_norms;
  config.norms_add_one = family.norms_add_one;
  config.fused_projections = family.fuses_projections;
  config.activation = family.activation;
  if (family.scales_embedding) config.embedding_scale = std::sqrt(config.width);
  if (family.default_query_scalar > 0) {
    config.query_scalar =
        json.integer("query_pre_attn_scalar", 1, kMaxWidth, family.default_query_scalar);
  }
}

void read_tokens(const JsonObject& json, ModelConfig& config) {
  const int64_t last = config.vocab_size - 1;
  if (json.has("bos_token_id")) config.bos_id = json.integer("bos_token_id", 0, last);
  config.eos_ids = read_eos_ids(json, config.vocab_size);
}

/// Reads the pattern of the sparse layers.
Pattern read_pattern(const JsonObject& hybrid, const ModelConfig& config) {
  const JsonObject pattern = hybrid.object("pattern");
  const int64_t block = pattern.integer("block", 1, kMaxContext, Pattern::kBlock);
  LG_CHECK(block == Pattern::kBlock, pattern.where("block"), ": expected ", Pattern::kBlock,
           ", found ", block, ".");
  std::vector<int64_t> offsets;
  if (pattern.has("stride_offsets")) offsets = pattern.integers("stride_offsets", 0, kMaxContext);
  try {
    Pattern sparse =
        Pattern::sparse(pattern.integer("sink_blocks", 0, kMaxContext),
                        pattern.integer("window_blocks", 0, kMaxContext),
                        pattern.integer("stride_blocks", 0, kMaxContext, 0), std::move(offsets));
    sparse.for_heads(config.num_kv_heads);
    return sparse;
  } catch (const Error& error) {
    LG_FAIL(hybrid.where("pattern"), ": ", error.what());
  }
}

/// Reads the classes of the layers: windows of the family's own, and the longgen object.
void read_layers(const JsonObject& json, ModelConfig& config) {
  const SlidingWindows windows = read_sliding_windows(json, config);
  config.layers =
      LayerPlan::all_full(config.num_layers).with_windows(windows.layers, windows.tokens);
  config.original_context = config.context;
  config.original_rope_base = config.rope.base;
  if (!json.has("longgen")) return;
  const JsonObject hybrid = json.object("longgen");
  config.original_context = hybrid.integer("original_context", 1, kMaxContext, config.context);
  config.original_rope_base =
      hybrid.number("original_rope_base", kMinRopeBase, kMaxRopeBase, config.rope.base);
  if (hybrid.has("sparse_rope")) {
    config.sparse_rope = read_rope(hybrid.object("sparse_rope"), config.context);
  }
  const std::vector<int64_t> full = hybrid.integers("full_layers", 0, config.num_layers - 1);
  LG_CHECK(std::adjacent_find(full.begin(), full.end(), std::greater_equal<>()) == full.end(),
           hybrid.where("full_layers"), ": expected ascending layers, each once.");
  for (const int64_t layer : full) {
    LG_CHECK(config.layers.is_full(layer), hybrid.where("full_layers"), ": layer ", layer,
             " has a sliding window of ", windows.tokens,
             " tokens by the other fields of config.json. Remove it here, or the window there.");
  }
  const auto num_sparse =
      config.num_layers - static_cast<int64_t>(full.size() + windows.layers.size());
  LG_CHECK(hybrid.has("pattern") || num_sparse == 0, hybrid.where("pattern"),
           " is missing: it says what the ", num_sparse, " sparse layers see.");
  const Pattern sparse =
      hybrid.has("pattern") ? read_pattern(hybrid, config) : config.layers.sparse();
  config.layers = LayerPlan::hybrid(config.num_layers, full, sparse)
                      .with_windows(windows.layers, windows.tokens);
}

Json dump_hybrid(const ModelConfig& config, const LayerPlan& layers) {
  const Pattern& sparse = layers.sparse();
  const auto num_known = layers.count(LayerPlan::kFull) + layers.count(LayerPlan::kSparse) +
                         static_cast<int64_t>(layers.window_layers().size());
  LG_CHECK(num_known == config.num_layers, "[config] config.json has one sparse pattern: of the ",
           config.num_layers, " layers ", config.num_layers - num_known, " have another one.");
  Json pattern = {{"block", Pattern::kBlock},
                  {"sink_blocks", sparse.sink_blocks()},
                  {"window_blocks", sparse.window_blocks()},
                  {"stride_blocks", sparse.stride_blocks()}};
  if (!sparse.stride_offsets().empty()) pattern["stride_offsets"] = sparse.stride_offsets();
  Json hybrid = {{"full_layers", layers.full_layers()},
                 {"pattern", std::move(pattern)},
                 {"original_context", config.original_context},
                 {"original_rope_base", config.original_rope_base}};
  if (config.sparse_rope) hybrid["sparse_rope"] = write_rope(*config.sparse_rope);
  return hybrid;
}

}  // namespace

int64_t ModelConfig::num_parameters() const {
  int64_t count = 0;
  for (const TensorInfo& tensor : all_tensors()) {
    const TensorShape shape = tensor.shape(*this);
    count += tensor.copies(*this) * (shape.num_elements() + shape.num_biases());
  }
  return count;
}

ModelConfig parse_model_config(const std::string& text, const std::string& source) {
  ModelConfig config;
  config.raw = parse_json(text, source);
  const JsonObject json(config.raw, source);
  LG_CHECK(
      !json.has("text_config"), json.where("text_config"),
      ": the model reads more than text. longgen runs models of text alone: take the one whose "
      "fields stand in config.json itself (Gemma 3: model_type gemma3_text).");
  config.family = json.string("model_type");
  const Family& family = find_family(config.family, json.where("model_type"));
  read_sizes(json, family, config);
  read_flags(json, family, config);
  read_ropes(json, family, config);
  refuse_other_arithmetic(json, config);
  read_tokens(json, config);
  read_layers(json, config);
  return config;
}

ModelConfig load_model_config(const fs::path& model_directory) {
  const fs::path file = model_directory / "config.json";
  expect_model_directory(model_directory);
  constexpr int64_t kMaxBytes = 16 << 20;
  ModelConfig config = parse_model_config(read_file(file, kMaxBytes), file.string());
  if (config.tied_embeddings && has_head_of_its_own(model_directory)) {
    config.tied_embeddings = false;
  }
  return config;
}

void set_stored_dtype(ModelConfig& config, DType dtype) {
  config.raw.erase("dtype");  // transformers 5; it reads the older name as well
  config.raw["torch_dtype"] = float_type_name(dtype);
}

std::string dump_model_config(const ModelConfig& config) {
  const Family& family = find_family(config.family, "[config] family");
  Json json = config.raw.is_object() ? config.raw : Json::object();
  json["model_type"] = config.family;
  if (!json.contains("architectures")) json["architectures"] = {family.architecture};
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
  json[family.activation_field] = activation_names(family.activation).front();
  if (config.query_scalar) json["query_pre_attn_scalar"] = *config.query_scalar;
  const auto write_bias = [&json](const BiasRule& rule, bool has_bias) {
    if (*rule.field != '\0') json[rule.field] = has_bias;
  };
  write_bias(family.qkv_bias, config.qkv_bias);
  write_bias(family.output_bias, config.output_bias);
  write_bias(family.mlp_bias, config.mlp_bias);
  // In some families layers with a window have a RoPE of their own, also where no token reaches the
  // window's end.
  const LayerPlan layers =
      config.window_rope ? config.layers : config.layers.for_context(config.context);
  write_sliding_windows(config, layers, json);
  write_ropes(config, json);
  if (config.bos_id) json["bos_token_id"] = *config.bos_id;
  if (config.eos_ids.size() == 1) json["eos_token_id"] = config.eos_ids[0];
  if (config.eos_ids.size() > 1) json["eos_token_id"] = config.eos_ids;
  json.erase("longgen");
  const bool is_changed =
      config.original_context != config.context || config.original_rope_base != config.rope.base;
  if (layers.is_hybrid() || is_changed) json["longgen"] = dump_hybrid(config, layers);
  return dump_json(json, 2) + "\n";
}

}  // namespace longgen
