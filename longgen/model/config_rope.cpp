#include "longgen/model/config_rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

using namespace config_limits;

/// Reads the kind under its newer or older name. A file that gives both must give the same.
std::string kind_name(const JsonObject& rope) {
  const std::string kind = rope.string("rope_type", rope.string("type", "default"));
  LG_CHECK(rope.string("type", kind) == kind, rope.where("type"), ": expected rope_type, \"", kind,
           "\", found \"", rope.string("type"), "\". Remove the one that is wrong.");
  return kind;
}

RopeConfig::Scaling parse_kind(const JsonObject& rope) {
  const std::string kind = kind_name(rope);
  if (kind == "default") return RopeConfig::Scaling::none;
  if (kind == "linear") return RopeConfig::Scaling::linear;
  if (kind == "llama3") return RopeConfig::Scaling::llama3;
  if (kind == "yarn") return RopeConfig::Scaling::yarn;
  const bool varies = kind == "longrope" || kind == "su";
  LG_FAIL(rope.where(rope.has("rope_type") ? "rope_type" : "type"),
          ": expected default, linear, llama3 or yarn, found \"", kind, "\". ",
          varies
              ? "Its frequencies change with the length of the text, and longgen turns a key once."
              : "longgen cannot run models with another RoPE scaling.");
}

/// Gives yarn's 0.1 * mscale * ln(factor) + 1.
double scaled_mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double parse_attention_factor(const JsonObject& yarn, double factor) {
  if (yarn.has("attention_factor")) return yarn.number("attention_factor", 1e-3, 1e3);
  if (yarn.has("mscale") && yarn.has("mscale_all_dim")) {
    const double mscale = yarn.number("mscale", 0, 1e3);
    const double all_dim = yarn.number("mscale_all_dim", 0, 1e3);
    if (mscale != 0 && all_dim != 0) {
      return scaled_mscale(factor, mscale) / scaled_mscale(factor, all_dim);
    }
  }
  return yarn_attention_factor(factor);
}

/// Refuses a field that means nothing in this kind of scaling: whoever wrote it expected something.
void check_fields(const JsonObject& rope, RopeConfig::Scaling scaling) {
  // "finetuned" is a note of the first yarn models. The context before scaling is part of no
  // formula of default and linear.
  constexpr std::array<std::string_view, 6> kAlways = {
      "rope_type",  "type",
      "rope_theta", "partial_rotary_factor",
      "finetuned",  "original_max_position_embeddings"};
  constexpr std::array<std::string_view, 3> kLlama3 = {"factor", "low_freq_factor",
                                                       "high_freq_factor"};
  constexpr std::array<std::string_view, 7> kYarn = {"factor",           "beta_fast", "beta_slow",
                                                     "attention_factor", "truncate",  "mscale",
                                                     "mscale_all_dim"};
  const auto knows = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, value] : rope.value().items()) {
    const bool is_known = value.is_null() || knows(kAlways, name) ||
                          (scaling == RopeConfig::Scaling::linear && name == "factor") ||
                          (scaling == RopeConfig::Scaling::llama3 && knows(kLlama3, name)) ||
                          (scaling == RopeConfig::Scaling::yarn && knows(kYarn, name));
    LG_CHECK(is_known || name != "attn_factor" || scaling != RopeConfig::Scaling::yarn,
             rope.where(name),
             ": transformers leaves it out, vLLM and llama.cpp multiply yarn's own factor by it. "
             "Replace it by attention_factor, the factor of cos and sin that the model needs.");
    LG_CHECK(is_known, rope.where(printable(name)), ": has no meaning in RoPE of kind \"",
             kind_name(rope), "\". Give the kind that it belongs to as rope_type, or remove it.");
  }
}

/// Reads the context before scaling, which may stand in the RoPE object or beside it.
std::optional<int64_t> parse_original_context(const JsonObject& config, const JsonObject& rope) {
  const std::string key = "original_max_position_embeddings";
  std::optional<int64_t> found;
  if (rope.has(key)) found = rope.integer(key, 1, kMaxContext);
  if (!config.has(key)) return found;
  const int64_t outer = config.integer(key, 1, kMaxContext);
  LG_CHECK(!found || *found == outer, config.where(key), ": expected that of the RoPE scaling, ",
           found.value_or(0), ", found ", outer, ". Remove the one that is wrong.");
  return outer;
}

/// Reads the scaling that one object asks for; `base` is read already.
RopeConfig parse_scaling(const JsonObject& config, const JsonObject& from, double base,
                         int64_t context) {
  RopeConfig rope;
  rope.base = base;
  rope.scaling = parse_kind(from);
  check_fields(from, rope.scaling);
  LG_CHECK(from.number("partial_rotary_factor", 0, 1, 1.0) == 1.0,
           from.where("partial_rotary_factor"),
           ": expected 1, found a part. longgen rotates whole heads.");
  if (rope.scaling == RopeConfig::Scaling::none) return rope;
  const bool is_yarn = rope.scaling == RopeConfig::Scaling::yarn;
  if (rope.scaling != RopeConfig::Scaling::linear) {
    rope.original_context = parse_original_context(config, from).value_or(context);
  }
  if (is_yarn && !from.has("factor")) {
    rope.factor = static_cast<double>(context) / static_cast<double>(rope.original_context);
    LG_CHECK(rope.factor >= 1 && rope.factor <= kMaxRopeFactor, from.where("factor"),
             " is missing, and max_position_embeddings / original_max_position_embeddings is ",
             rope.factor, "; expected a number from 1 to ", kMaxRopeFactor, ".");
  } else {
    rope.factor = from.number("factor", 1, kMaxRopeFactor);
  }
  if (is_yarn) {
    rope.beta_fast = from.number("beta_fast", 1e-3, 1e6, 32.0);
    rope.beta_slow = from.number("beta_slow", 1e-3, 1e6, 1.0);
    LG_CHECK(rope.beta_slow < rope.beta_fast, from.where("beta_slow"),
             ": expected less than beta_fast, ", rope.beta_fast, ", found ", rope.beta_slow, ".");
    rope.truncate = from.boolean("truncate", true);
    rope.attention_factor = parse_attention_factor(from, rope.factor);
  } else if (rope.scaling == RopeConfig::Scaling::llama3) {
    rope.low_freq_factor = from.number("low_freq_factor", 1e-3, 1e6);
    rope.high_freq_factor = from.number("high_freq_factor", 1e-3, 1e6);
    LG_CHECK(rope.low_freq_factor < rope.high_freq_factor, from.where("low_freq_factor"),
             ": expected less than high_freq_factor, ", rope.high_freq_factor, ", found ",
             rope.low_freq_factor, ".");
  }
  return rope;
}

/// The objects of config.json that may say one RoPE, and the field beside them that may say its
/// base.
struct RopePlaces {
  std::vector<JsonObject> objects = {};
  const char* base_field = "rope_theta";
  double default_base;
};

void add_object(const JsonObject& json, const char* key, RopePlaces& places) {
  if (json.has(key) && json.raw(key) != Json::object()) places.objects.push_back(json.object(key));
}

/// Reads the base, which may stand beside the objects and in each of them. Readers differ about
/// which one counts, so that all must agree.
double parse_base(const JsonObject& config, const RopePlaces& places) {
  std::optional<double> base;
  std::string from;
  const auto read = [&](const JsonObject& json, const char* field) {
    if (!json.has(field)) return;
    const double found = json.number(field, kMinRopeBase, kMaxRopeBase);
    LG_CHECK(!base || *base == found, json.where(field), ": expected ", base.value_or(0), " as in ",
             from, ", found ", found, ". Remove the one that is wrong.");
    base = found;
    if (from.empty()) from = json.where(field).substr(json.source().size() + 2);
  };
  read(config, places.base_field);
  for (const JsonObject& object : places.objects) read(object, "rope_theta");
  return base.value_or(places.default_base);
}

RopeConfig parse_rope(const JsonObject& config, const RopePlaces& places, const Family& family,
                      int64_t context) {
  RopeConfig plain;
  plain.base = parse_base(config, places);
  std::optional<RopeConfig> rope;
  for (const JsonObject& object : places.objects) {
    const RopeConfig found = parse_scaling(config, object, plain.base, context);
    LG_CHECK(!rope || *rope == found, config.where("rope_scaling"),
             ": says another RoPE than rope_parameters. transformers 4 reads the one, 5 the other: "
             "remove the one that is wrong (null), and give rope_theta in what remains.");
    LG_CHECK(family.scales_rope || found.scaling == RopeConfig::Scaling::none,
             object.where("rope_type"), ": expected \"default\", found \"", kind_name(object),
             "\". transformers takes every scaling of a ", family.name, " model for longrope.");
    rope = found;
  }
  return rope.value_or(plain);
}

/// Reads the two RoPEs of a family whose layers with a window have one of their own.
void read_two_ropes(const JsonObject& json, const Family& family, ModelConfig& config) {
  RopePlaces full{.default_base = family.default_rope_base};
  RopePlaces window{.base_field = "rope_local_base_freq", .default_base = 10000};
  if (json.has("rope_parameters")) {
    const JsonObject both = json.object("rope_parameters");
    for (const auto& [name, value] : both.value().items()) {
      LG_CHECK(
          name == "full_attention" || name == "sliding_attention", both.where(printable(name)),
          ": expected full_attention and sliding_attention, an object for each kind of layers.");
    }
    add_object(both, "full_attention", full);
    add_object(both, "sliding_attention", window);
  }
  add_object(json, "rope_scaling", full);
  config.rope = parse_rope(json, full, family, config.context);
  config.window_rope = parse_rope(json, window, family, config.context);
  LG_CHECK(
      config.window_rope->scaling == RopeConfig::Scaling::none, json.where("rope_parameters"),
      ": expected rope_type \"default\" in sliding_attention, found another. longgen scales the "
      "RoPE of layers without a window alone.");
}

/// Writes the scaling, null where there is none.
Json scaling_object(const RopeConfig& rope) {
  switch (rope.scaling) {
    case RopeConfig::Scaling::none:
      break;
    case RopeConfig::Scaling::linear:
      return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeConfig::Scaling::llama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {"original_max_position_embeddings", rope.original_context}};
    case RopeConfig::Scaling::yarn:
      return {{"rope_type", "yarn"},
              {"factor", rope.factor},
              {"beta_fast", rope.beta_fast},
              {"beta_slow", rope.beta_slow},
              {"truncate", rope.truncate},
              {"attention_factor", rope.attention_factor},
              {"original_max_position_embeddings", rope.original_context}};
  }
  return nullptr;
}

}  // namespace

void read_ropes(const JsonObject& json, const Family& family, ModelConfig& config) {
  if (family.has_window_rope) return read_two_ropes(json, family, config);
  RopePlaces places{.default_base = family.default_rope_base};
  add_object(json, "rope_parameters", places);
  add_object(json, "rope_scaling", places);
  config.rope = parse_rope(json, places, family, config.context);
}

RopeConfig read_rope(const JsonObject& json, int64_t context) {
  return parse_scaling(json, json, json.number("rope_theta", kMinRopeBase, kMaxRopeBase), context);
}

Json write_rope(const RopeConfig& rope) {
  Json json = scaling_object(rope);
  if (json.is_null()) json = {{"rope_type", "default"}};
  json["rope_theta"] = rope.base;
  return json;
}

void write_ropes(const ModelConfig& model, Json& config) {
  for (const char* other : {"rope_parameters", "original_max_position_embeddings", "rope_base",
                            "rotary_base", "rotary_emb_base"}) {
    config.erase(other);
  }
  if (model.window_rope) config["rope_local_base_freq"] = model.window_rope->base;
  config["rope_theta"] = model.rope.base;
  Json& scaling = config["rope_scaling"];
  scaling = scaling_object(model.rope);
  // This is what transformers before 4.45 reads.
  if (!scaling.is_null()) scaling["type"] = scaling["rope_type"];
}

}  // namespace longgen
