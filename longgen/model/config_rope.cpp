#include "longgen/model/config_rope.h"

#include <cmath>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

constexpr double kMaxBase = 1e15, kMaxFactor = 1e6;
constexpr int64_t kMaxContext = int64_t{1} << 40;

RopeConfig::Scaling parse_kind(const JsonObject& rope) {
  const std::string key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string kind = rope.string(key, "default");
  if (kind == "default") return RopeConfig::Scaling::none;
  if (kind == "linear") return RopeConfig::Scaling::linear;
  if (kind == "llama3") return RopeConfig::Scaling::llama3;
  if (kind == "yarn") return RopeConfig::Scaling::yarn;
  LG_FAIL(rope.where(key), ": expected default, linear, llama3 or yarn, found \"", kind,
          "\". longgen cannot run models with another RoPE scaling.");
}

/// yarn's 0.1 * mscale * ln(factor) + 1.
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

void parse_scaling(const JsonObject& from, int64_t context, RopeConfig& rope) {
  rope.scaling = parse_kind(from);
  LG_CHECK(from.number("partial_rotary_factor", 0, 1, 1.0) == 1.0,
           from.where("partial_rotary_factor"),
           ": expected 1, found a part. longgen rotates whole heads.");
  if (rope.scaling == RopeConfig::Scaling::none) return;
  const bool is_yarn = rope.scaling == RopeConfig::Scaling::yarn;
  if (rope.scaling != RopeConfig::Scaling::linear) {
    rope.original_context =
        is_yarn ? from.integer("original_max_position_embeddings", 1, kMaxContext, context)
                : from.integer("original_max_position_embeddings", 1, kMaxContext);
  }
  if (is_yarn && !from.has("factor")) {
    rope.factor = static_cast<double>(context) / static_cast<double>(rope.original_context);
  } else {
    rope.factor = from.number("factor", 1, kMaxFactor);
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
}

}  // namespace

RopeConfig parse_rope(const JsonObject& config, int64_t context) {
  RopeConfig rope;
  if (config.has("rope_parameters")) {
    const JsonObject parameters = config.object("rope_parameters");
    rope.base = parameters.number("rope_theta", 1 + 1e-9, kMaxBase,
                                  config.number("rope_theta", 1 + 1e-9, kMaxBase, rope.base));
    parse_scaling(parameters, context, rope);
    return rope;
  }
  rope.base = config.number("rope_theta", 1 + 1e-9, kMaxBase, rope.base);
  if (config.has("rope_scaling")) parse_scaling(config.object("rope_scaling"), context, rope);
  return rope;
}

void write_rope(const RopeConfig& rope, Json& config) {
  config.erase("rope_parameters");
  config["rope_theta"] = rope.base;
  Json& scaling = config["rope_scaling"];
  scaling = nullptr;
  switch (rope.scaling) {
    case RopeConfig::Scaling::none:
      return;
    case RopeConfig::Scaling::linear:
      scaling = {{"rope_type", "linear"}, {"factor", rope.factor}};
      break;
    case RopeConfig::Scaling::llama3:
      scaling = {{"rope_type", "llama3"},
                 {"factor", rope.factor},
                 {"low_freq_factor", rope.low_freq_factor},
                 {"high_freq_factor", rope.high_freq_factor},
                 {"original_max_position_embeddings", rope.original_context}};
      break;
    case RopeConfig::Scaling::yarn:
      scaling = {{"rope_type", "yarn"},
                 {"factor", rope.factor},
                 {"beta_fast", rope.beta_fast},
                 {"beta_slow", rope.beta_slow},
                 {"truncate", rope.truncate},
                 {"attention_factor", rope.attention_factor},
                 {"original_max_position_embeddings", rope.original_context}};
      break;
  }
  scaling["type"] = scaling["rope_type"];  // what transformers before 4.45 reads
}

}  // namespace longgen
