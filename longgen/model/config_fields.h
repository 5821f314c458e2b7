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

/// Refuses a sliding window that some token of the model's context reaches the end of. The rules
/// are those of transformers, with its defaults: Mistral slides in every layer, Qwen 2 and 3 in
/// those that layer_types names, or else in those from max_window_layers on.
void refuse_sliding_windows(const JsonObject& json, const ModelConfig& config);

/// Sets the fields of sliding windows to none, because the windows that refuse_sliding_windows()
/// accepts are as long as the context, and would begin to count when the context grows.
void clear_sliding_windows(const ModelConfig& config, Json& json);

/// Lists the fields of config.raw that longgen neither reads nor knows to be without effect, sorted.
/// A field that is null, false or empty is not among them.
std::vector<std::string> unknown_fields(const ModelConfig& config);

/// Warns once, naming the unknown fields of a model, if it has any. `source` is its file.
void warn_of_unknown_fields(const ModelConfig& config, const std::string& source);

}  // namespace longgen
