// model/config_fields.h: every field of config.json is read, known to have no effect, refused, or
// named in a warning.
#pragma once

#include "longgen/base/json.h"
#include "longgen/model/config.h"

namespace longgen {

/// Refuses a field that asks for an arithmetic which longgen does not have: softcaps, multipliers,
/// layers without RoPE, experts, quantized weights and the like. A value that changes nothing (a
/// multiplier of 1) is accepted. `config` holds what was read.
void refuse_other_arithmetic(const JsonObject& json, const ModelConfig& config);

/// The layers whose queries see the last `tokens` keys only; none and 0 where no layer has a
/// window.
struct SlidingWindows {
  std::vector<int64_t> layers;
  int64_t tokens = 0;
  bool operator==(const SlidingWindows&) const = default;
};

/// Reads the sliding windows of a family. The rules are those of transformers, with its defaults:
/// Mistral slides in every layer, Qwen 2 and 3 in those that layer_types names, or else in those
/// from max_window_layers on. A window that no token of the context reaches the end of is none.
/// Refuses one in a family to which programs do not agree to give any.
SlidingWindows read_sliding_windows(const JsonObject& json, const ModelConfig& config);

/// Writes the windows of `layers` so that read_sliding_windows() and transformers find them. Fields
/// that mean them already stay as they are. Without windows the fields are set to none: one as long
/// as the context would begin to count when the context grows. Throws Error where the family's
/// config.json cannot say it.
void write_sliding_windows(const ModelConfig& config, const LayerPlan& layers, Json& json);

/// Lists the fields of config.raw that longgen neither reads nor knows to be without effect,
/// sorted. A field that is null, false or empty is not among them.
std::vector<std::string> unknown_fields(const ModelConfig& config);

/// Warns once, naming the unknown fields of a model, if it has any. `source` is its file.
void warn_of_unknown_fields(const ModelConfig& config, const std::string& source);

}  // namespace longgen
