#include "longgen/plan/describe.h"

#include <fmt/format.h>

#include <cmath>

#include "longgen/base/units.h"
#include "longgen/kv_cache/page_layout.h"
#include "longgen/plan/report_json.h"

namespace longgen {
namespace {

std::string base_text(double base) {
  const bool whole = base < 1e15 && base == std::floor(base);
  return whole ? format_count(static_cast<int64_t>(base)) : fmt::format("{}", base);
}

std::string scaling_text(const RopeConfig& rope) {
  switch (rope.scaling) {
    case RopeConfig::Scaling::none:
      return "";
    case RopeConfig::Scaling::linear:
      return fmt::format(", linear scaling by {}", rope.factor);
    case RopeConfig::Scaling::llama3:
    case RopeConfig::Scaling::yarn:
      return fmt::format(", {} scaling by {} from {}", rope_scaling_name(rope.scaling), rope.factor,
                         format_count(rope.original_context));
  }
  return "";
}

std::string rope_text(const ModelConfig& config) {
  std::string text = "base " + base_text(config.rope.base);
  if (config.original_rope_base > 0 && config.original_rope_base != config.rope.base) {
    text += " (originally " + base_text(config.original_rope_base) + ")";
  }
  text += scaling_text(config.rope);
  if (config.window_rope) {
    text += "; base " + base_text(config.window_rope->base) + " in layers with a window";
  }
  if (config.sparse_rope) {
    text += "; base " + base_text(config.sparse_rope->base) + scaling_text(*config.sparse_rope) +
            " in sparse layers";
  }
  return text;
}

std::string parameters_text(const ParameterCounts& counts) {
  std::string text =
      fmt::format("{}: embedding {}", format_count(counts.total()), format_count(counts.embedding));
  for (const auto& [name, count] : {std::pair{"output head", counts.head},
                                    {"attention", counts.attention},
                                    {"feed-forward", counts.ffn},
                                    {"norms", counts.norms},
                                    {"biases", counts.biases}}) {
    if (count > 0) text += fmt::format(", {} {}", name, format_count(count));
  }
  return text;
}

std::string sizes_text(const ModelConfig& config) {
  return fmt::format("width {}, feed-forward {}, {} heads on {} KV heads of {}, vocabulary {}{}",
                     format_count(config.width), format_count(config.ffn_width), config.num_heads,
                     config.num_kv_heads, config.head_size, format_count(config.vocab_size),
                     config.tied_embeddings ? ", tied embeddings" : "");
}

std::string layers_text(const ModelConfig& config) {
  if (config.layers.is_all_full()) return fmt::format("{}, all full", config.num_layers);
  if (!config.layers.is_full_and_sparse()) return format_classes(config.layers);
  return fmt::format("full {}, sparse the others: {}",
                     format_layers(config.layers.full_layers(), config.num_layers),
                     config.layers.sparse().to_string());
}

std::string context_text(const ModelConfig& config) {
  std::string text = format_count(config.context) + " tokens";
  if (config.original_context != config.context) {
    text += " (originally " + format_count(config.original_context) + ")";
  }
  return text;
}

std::string kv_text(const ModelDescription& description) {
  const std::string held = format_bytes(description.kv_bytes);
  const std::string where = fmt::format(" at {} tokens, {}", format_count(description.num_tokens),
                                        number_format_name(description.format));
  if (description.config.layers.is_all_full()) return held + where;
  return fmt::format("{}{}; {:.1f}% of the {} with every layer full", held, where,
                     100 * description.kept_share(), format_bytes(description.full_kv_bytes));
}

}  // namespace

double ModelDescription::kept_share() const {
  return full_kv_bytes == 0 ? 1
                            : static_cast<double>(kv_bytes) / static_cast<double>(full_kv_bytes);
}

ModelDescription describe_model(const std::string& model, const ModelConfig& config,
                                int64_t num_tokens, NumberFormat format) {
  const KvLayout layout(config, page_type(format));
  ModelDescription description;
  description.model = model;
  description.config = config;
  description.parameters = parameter_counts(config);
  description.num_tokens = num_tokens == 0 ? config.context : num_tokens;
  description.format = format;
  description.kv_bytes = layout.kv_bytes(description.num_tokens);
  description.full_kv_bytes = layout.full_kv_bytes(description.num_tokens);
  return description;
}

std::string to_text(const ModelDescription& description) {
  const ModelConfig& config = description.config;
  std::string text;
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"model", description.model},
                                    {"family", config.family},
                                    {"parameters", parameters_text(description.parameters)},
                                    {"sizes", sizes_text(config)},
                                    {"layers", layers_text(config)},
                                    {"context", context_text(config)},
                                    {"rope", rope_text(config)},
                                    {"KV cache", kv_text(description)}}) {
    text += fmt::format("{:<12}{}\n", name, value);
  }
  return text;
}

OrderedJson to_json(const ModelDescription& description) {
  const ModelConfig& config = description.config;
  OrderedJson json = {{"model", description.model}};
  json.update(model_to_json(config));
  json["parameters"] = parameters_to_json(description.parameters);
  json["layers"] = layers_to_json(config.layers);
  json["kv"] = {{"num_tokens", description.num_tokens},
                {"dtype", number_format_name(description.format)},
                {"bytes", description.kv_bytes},
                {"full_bytes", description.full_kv_bytes},
                {"kept_share", description.kept_share()}};
  return json;
}

}  // namespace longgen
