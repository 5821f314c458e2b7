#include "longgen/model/config_fields.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/model/family.h"

namespace longgen {
namespace {

/// The fields that parse_model_config() and parse_rope() read.
constexpr std::string_view kRead[] = {
    "architectures",
    "attention_bias",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_types",
    "longgen",
    "max_position_embeddings",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "original_max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "use_sliding_window",
    "vocab_size",
};

/// The fields that change no logit of any family: defaults of transformers'
/// generate(), training settings, labels of classifiers, and notes of the programs that
/// wrote the file. Names that begin with '_' are notes as well. pretraining_tp cuts
/// products into parts that are added up again.
constexpr std::string_view kWithoutEffect[] = {
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "experts_implementation",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "is_decoder",
    "is_llama_config",
    "label2id",
    "length_penalty",
    "max_length",
    "max_sequence_length",
    "min_length",
    "model_max_length",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "padding_side",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "residual_dropout",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
};

/// A field that other families or programs give a meaning, and the value with which it changes
/// nothing in ours. null changes nothing either; null here stands for "no other value".
struct OtherArithmetic {
  std::string_view field;
  Json neutral;
};

std::vector<OtherArithmetic> other_arithmetic(const ModelConfig& config) {
  const auto scalar = static_cast<double>(config.query_scalar.value_or(config.head_size));
  const double scale = 1 / std::sqrt(std::max(1.0, scalar));
  return {
      {"add_cross_attention", false},
      {"alibi", false},
      {"attention_chunk_size", 0},
      {"attention_multiplier", scale},
      {"attention_scale", scale},
      {"attn_logit_softcap", 0},
      {"attn_logit_softcapping", 0},
      {"block_configs", nullptr},
      {"clip_qkv", nullptr},
      {"compression_config", nullptr},
      {"embedding_multiplier", 1},
      {"final_logit_softcap", 0},
      {"final_logit_softcapping", 0},
      {"hidden_activation", activation_names(config.activation).front()},
      {"is_causal", true},
      {"is_encoder_decoder", false},
      {"kv_lora_rank", nullptr},
      {"logit_scale", 1},
      {"logits_scaling", 1},
      {"moe_num_experts", 0},
      {"mrope_section", nullptr},
      {"n_routed_experts", 0},
      {"no_rope_layer_interval", 0},
      {"num_experts", 0},
      {"num_kv_shared_layers", 0},
      {"num_local_experts", 0},
      {"parallel_attn", false},
      {"partial_rotary_factor", 1},
      {"per_layer_config", nullptr},
      {"position_embedding_type", "rope"},
      {"pruned_heads", Json::object()},
      {"q_lora_rank", nullptr},
      {"qk_layernorm", config.qk_norm},
      {"qk_norm", config.qk_norm},
      {"quantization", nullptr},
      {"query_pre_attn_scalar", config.query_scalar.value_or(config.head_size)},
      {"residual_multiplier", 1},
      {"rope_base", config.rope.base},
      {"rope_interleaved", false},
      {"rope_pct", 1},
      {"rotary_base", config.rope.base},
      {"rotary_dim", config.head_size},
      {"rotary_emb_base", config.rope.base},
      {"rotary_interleaved", false},
      {"rotary_pct", 1},
      {"rotary_percent", 1},
      {"scale_depth", nullptr},
      {"scale_emb", 1},
      {"use_alibi", false},
      {"use_bidirectional_attention", false},
      {"use_mrope", false},
      {"use_parallel_residual", false},
      {"use_qk_norm", config.qk_norm},
  };
}

std::string shown(const Json& value) { return dump_json(value).substr(0, 60); }

bool is_among(std::string_view name, const auto& names) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// null, false, "", [] and {} say nothing.
bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == "" ||
         (value.is_structured() && value.empty());
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Refuses a classifier or a drafter: it is another model of the same model_type. Capital letters
/// differ in files of the first Llama.
void check_architectures(const JsonObject& json, const std::string& family) {
  if (!json.has("architectures")) return;
  const Json& found = json.raw("architectures");
  LG_CHECK(found.is_array(), json.where("architectures"), ": expected a list, found ", shown(found),
           ".");
  const std::string expected = find_family(family, json.where("model_type")).architecture;
  const bool is_ours =
      found.empty() || std::any_of(found.begin(), found.end(), [&](const Json& name) {
        return name.is_string() && lower(name.get<std::string>()) == lower(expected);
      });
  LG_CHECK(is_ours, json.where("architectures"), ": expected ", expected, ", found ", shown(found),
           ". longgen runs language models of the family ", family, ", no other head.");
}

/// Returns the window of the layers that have one, in tokens; none where config.json says so, or
/// where the family has none of its own.
std::optional<int64_t> read_window(const JsonObject& json, const Family& family) {
  constexpr int64_t kDefault = 4096;  // of transformers
  const bool by_layer = family.windows == Family::Windows::kByLayer;
  if (by_layer && !json.boolean("use_sliding_window", false)) return std::nullopt;
  if (json.has("sliding_window")) return json.integer("sliding_window", 1, INT64_MAX);
  const bool says_none = json.value().contains("sliding_window");  // null
  LG_CHECK(!says_none || family.windows != Family::Windows::kMost, json.where("sliding_window"),
           ": expected a number, found null: the family ", family.name,
           " has layers with a window.");
  const bool has_none =
      family.windows == Family::Windows::kIfSaid || family.windows == Family::Windows::kAll;
  return says_none || has_none ? std::nullopt : std::optional(kDefault);
}

/// Reads from layer_types which layers slide.
std::vector<bool> read_layer_types(const JsonObject& json, const ModelConfig& config) {
  const Json& types = json.raw("layer_types");
  LG_CHECK(types.is_array() && static_cast<int64_t>(types.size()) == config.num_layers,
           json.where("layer_types"), ": expected a list of num_hidden_layers, ", config.num_layers,
           ", entries, found ", shown(types), ".");
  std::vector<bool> slides;
  for (const Json& type : types) {
    // "attention" is how transformers wrote full_attention at first.
    const bool is_full = type == "full_attention" || type == "attention";
    LG_CHECK(is_full || type == "sliding_attention", json.where("layer_types"),
             ": expected \"full_attention\" or \"sliding_attention\", found ", shown(type), ".");
    slides.push_back(!is_full);
  }
  return slides;
}

}  // namespace

void refuse_other_arithmetic(const JsonObject& json, const ModelConfig& config) {
  check_architectures(json, config.family);
  const Family& family = find_family(config.family, json.where("model_type"));
  std::vector<std::string> expected = activation_names(family.activation);
  if (*family.activation_alias != '\0') expected.push_back(family.activation_alias);
  const std::string activation = json.string(family.activation_field, expected.front());
  LG_CHECK(is_among(activation, expected), json.where(family.activation_field), ": expected \"",
           expected.front(), "\", found \"", activation,
           "\". longgen has no other activation in this family.");
  LG_CHECK(!json.has("quantization_config"), json.where("quantization_config"),
           ": the weights are quantized. Use the unquantized model, or a GGUF file.");
  if (json.has("no_rope_layers")) {  // SmolLM3's list: 1 for a layer with RoPE
    const std::vector<int64_t> rotates = json.integers("no_rope_layers", 0, 1);
    LG_CHECK(std::find(rotates.begin(), rotates.end(), 0) == rotates.end(),
             json.where("no_rope_layers"),
             ": expected only 1, found 0. longgen has no layers without RoPE.");
  }
  for (const auto& [field, neutral] : other_arithmetic(config)) {
    const std::string key(field);
    if (!json.has(key)) continue;
    const Json& found = json.raw(key);
    LG_CHECK(!neutral.is_null(), json.where(key), ": expected none, found ", shown(found),
             ". longgen would run the model without it, and wrongly.");
    const bool is_close = neutral.is_number() && found.is_number() &&
                          std::abs(found.get<double>() - neutral.get<double>()) <=
                              1e-6 * std::abs(neutral.get<double>());
    LG_CHECK(found == neutral || is_close, json.where(key), ": expected ", shown(neutral),
             ", which changes nothing, found ", shown(found),
             ". longgen would run the model without it, and wrongly.");
  }
}

SlidingWindows read_sliding_windows(const JsonObject& json, const ModelConfig& config) {
  const Family& family = find_family(config.family, json.where("model_type"));
  const std::optional<int64_t> window = read_window(json, family);
  std::vector<bool> slides(config.num_layers, window.has_value());
  const bool is_most = family.windows == Family::Windows::kMost;
  const bool by_layer = family.windows == Family::Windows::kByLayer || is_most;
  if (is_most) {
    const int64_t period = json.integer("sliding_window_pattern", 1, INT64_MAX, 6);
    for (int64_t i = period - 1; i < config.num_layers; i += period) slides[i] = false;
  } else if (by_layer) {
    const int64_t first = json.integer("max_window_layers", 0, INT64_MAX, 28);
    for (int64_t i = 0; i < std::min(first, config.num_layers); ++i) slides[i] = false;
  }
  const bool is_reached = window && (*window < config.context || family.has_window_rope);
  if (json.has("layer_types")) {
    const std::vector<bool> named = read_layer_types(json, config);
    const auto is_named = [&](bool slid) {
      return std::find(named.begin(), named.end(), slid) != named.end();
    };
    LG_CHECK(!is_named(true) || window, json.where("layer_types"),
             ": expected only \"full_attention\", found \"sliding_attention\", and no window.");
    LG_CHECK(by_layer || !is_reached || !is_named(false), json.where("layer_types"),
             ": expected only \"sliding_attention\", found \"full_attention\": transformers gives "
             "the window to every layer of the family ",
             config.family, ". Remove layer_types or sliding_window.");
    if (by_layer) slides = named;
  }
  SlidingWindows windows;
  for (int64_t i = 0; i < config.num_layers && is_reached; ++i) {
    if (slides[i]) windows.layers.push_back(i);
  }
  if (windows.layers.empty()) return {};
  LG_CHECK(family.windows != Family::Windows::kIfSaid, json.where("sliding_window"),
           ": expected null or at least max_position_embeddings, ", config.context, ", found ",
           *window, ". Of the family ", config.family,
           " some programs read the window, and transformers does not: set it to null, or take "
           "model_type mistral, whose layers all have it.");
  windows.tokens = *window;
  return windows;
}

namespace {

SlidingWindows only_windows(const LayerPlan& layers) {
  SlidingWindows windows = {.layers = layers.window_layers()};
  for (const int64_t layer : windows.layers) {
    const int64_t tokens = layers.pattern_of_class(layers.class_of(layer)).window_tokens();
    LG_CHECK(windows.tokens == 0 || windows.tokens == tokens,
             "[config] config.json has windows of one length, found ", windows.tokens, " and ",
             tokens, " tokens.");
    windows.tokens = tokens;
  }
  return windows;
}

}  // namespace

void write_sliding_windows(const ModelConfig& config, const LayerPlan& layers, Json& json) {
  using Windows = Family::Windows;
  const Family& family = find_family(config.family, "[config] family");
  const SlidingWindows windows = only_windows(layers);
  const auto list_types = [&] {
    std::vector<std::string> types(config.num_layers, "full_attention");
    for (const int64_t layer : windows.layers) types[layer] = "sliding_attention";
    json["layer_types"] = types;
  };
  if (windows.layers.empty()) {
    if (family.windows == Windows::kMost) return list_types();
    const bool by_layer = family.windows == Windows::kByLayer;
    const bool is_needed = family.windows == Windows::kAlways;
    if (is_needed || (!by_layer && json.contains("sliding_window"))) {
      json["sliding_window"] = nullptr;
    }
    if (json.contains("use_sliding_window")) json["use_sliding_window"] = false;
    if (json.contains("layer_types") && !json["layer_types"].is_null()) list_types();
    return;
  }
  if (read_sliding_windows(JsonObject(json, "[config]"), config) == windows) return;
  const bool in_all_layers = static_cast<int64_t>(windows.layers.size()) == config.num_layers;
  const bool by_layer = family.windows == Windows::kByLayer || family.windows == Windows::kMost;
  LG_CHECK(by_layer || (family.windows != Windows::kIfSaid && in_all_layers),
           "[config] the family ", config.family, " cannot have windows of ", windows.tokens,
           " tokens in ", format_layers(windows.layers, config.num_layers), " of its layers.");
  json["sliding_window"] = windows.tokens;
  if (!by_layer) return;
  if (family.windows == Windows::kByLayer) json["use_sliding_window"] = true;
  list_types();
}

std::vector<std::string> unknown_fields(const ModelConfig& config) {
  const std::vector<OtherArithmetic> other = other_arithmetic({});
  const Family& family = find_family(config.family, "[config] family");
  const auto is_of_family = [&](const std::string& name) {
    return name == family.qkv_bias.field || name == family.output_bias.field ||
           name == family.mlp_bias.field || name == family.activation_field ||
           (family.has_window_rope &&
            (name == "rope_local_base_freq" || name == "sliding_window_pattern"));
  };
  const auto is_known = [&](const std::string& name) {
    return is_of_family(name) || name.starts_with('_') || name == "quantization_config" ||
           name == "no_rope_layers" || is_among(name, kRead) || is_among(name, kWithoutEffect) ||
           std::any_of(other.begin(), other.end(),
                       [&](const OtherArithmetic& one) { return one.field == name; });
  };
  std::vector<std::string> unknown;
  for (const auto& [name, value] : config.raw.items()) {
    if (!is_known(name) && !says_nothing(value)) unknown.push_back(name);
  }
  return unknown;
}

void warn_of_unknown_fields(const ModelConfig& config, const std::string& source) {
  const std::vector<std::string> names = unknown_fields(config);
  if (names.empty()) return;
  constexpr size_t kMaxShown = 10;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), kMaxShown); ++i) {
    list += (list.empty() ? "" : ", ") + shown(Json(names[i]));
  }
  if (names.size() > kMaxShown) list += detail::concat(" and ", names.size() - kMaxShown, " more");
  log_warning(source + ": longgen does not know " + list +
              " and runs the model without. If that changes what the model computes, results "
              "differ.");
}

}  // namespace longgen
