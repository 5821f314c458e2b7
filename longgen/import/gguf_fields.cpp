#include "longgen/import/gguf_fields.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/model/family.h"

namespace longgen {
namespace {

/// The keys after the prefix that gguf_config.cpp and gguf_rope.cpp read, and those that change no
/// logit: how many of no experts are used, how an embedding model pools, whether yarn was trained,
/// the rows' order in files of architecture llama (always the same).
constexpr std::string_view kKnown[] = {
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_used_count",
    "feed_forward_length",
    "pooling_type",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_log_multiplier",
    "tensor_data_layout",
    "vocab_size",
};

/// A key and the number with which it changes nothing; llama.cpp takes 0 for "none" besides.
struct OtherArithmetic {
  std::string_view key;
  double neutral;
};

std::vector<OtherArithmetic> other_arithmetic(int64_t head_size) {
  return {
      {"attention.chunk_size", 0},
      {"attention.clamp_kqv", 0},
      {"attention.kv_lora_rank", 0},
      {"attention.max_alibi_bias", 0},
      {"attention.q_lora_rank", 0},
      {"attention.scale", 1 / std::sqrt(static_cast<double>(head_size))},
      {"attention.shared_kv_layers", 0},
      {"attn_logit_softcapping", 0},
      {"embedding_scale", 1},
      {"expert_count", 0},
      {"final_logit_softcapping", 0},
      {"logit_scale", 1},
      {"residual_scale", 1},
  };
}

void expect(const GgufFile& file, const std::string& key, bool expected) {
  LG_CHECK(file.boolean(key, expected) == expected, file.where(key), ": expected ",
           expected ? "true, found false" : "false, found true",
           ". longgen would run the model without it, and wrongly.");
}

}  // namespace

void refuse_other_gguf_arithmetic(const GgufFile& file, const std::string& prefix,
                                  const ModelConfig& config) {
  const std::string type = file.string("general.type", "model");
  LG_CHECK(type == "model", file.where("general.type"), ": expected model, found \"",
           printable(type), "\". longgen imports whole models.");
  for (const auto& [name, neutral] : other_arithmetic(config.head_size)) {
    const std::string key = prefix + std::string(name);
    const double found = file.number(key, -1e18, 1e18, 0);
    LG_CHECK(found == 0 || std::abs(found - neutral) <= 1e-6 * std::abs(neutral), file.where(key),
             ": expected ", neutral, ", which changes nothing, found ", found,
             ". longgen would run the model without it, and wrongly.");
  }
  expect(file, prefix + "attention.causal", true);
  expect(file, prefix + "use_parallel_residual", false);
  const std::string sections = prefix + "rope.dimension_sections";
  LG_CHECK(!file.has(sections), file.where(sections),
           ": expected none. longgen has one position for each token, not several.");
}

void warn_of_unknown_keys(const GgufFile& file, const ModelConfig& config) {
  const Family& family = find_family(config.family, "[gguf] family");
  const std::string prefix = std::string(family.gguf_architecture) + ".";
  const std::vector<OtherArithmetic> other = other_arithmetic(config.head_size);
  std::string unknown;
  for (const auto& [key, value] : file.values()) {
    if (!key.starts_with(prefix)) continue;
    const std::string_view name = std::string_view(key).substr(prefix.size());
    const bool is_known =
        name == "attention.causal" || name == "use_parallel_residual" ||
        std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown) ||
        std::any_of(other.begin(), other.end(),
                    [&](const OtherArithmetic& one) { return one.key == name; });
    if (!is_known) unknown += (unknown.empty() ? "" : ", ") + printable(key);
  }
  if (unknown.empty()) return;
  constexpr size_t kMaxShown = 500;
  if (unknown.size() > kMaxShown) unknown = unknown.substr(0, kMaxShown) + " ...";
  log_warning(file.source() + ": longgen does not know the keys " + unknown +
              " and runs the model without. If they change what the model computes, results "
              "differ.");
}

}  // namespace longgen
