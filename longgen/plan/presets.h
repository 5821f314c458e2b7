// plan/presets.h: the shapes of well-known models, usable where a command takes a model directory
// and needs no weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longgen/model/config.h"

namespace longgen {

/// Gives the shape of a published model, every layer full, with the numbers of its config.json:
/// sizes, RoPE, context, special tokens. Gives nullopt for a name that is none of preset_names().
std::optional<ModelConfig> find_preset(const std::string& name);
/// Does what find_preset() does, and throws Error listing the names, and the one that is likely
/// meant, where there is none.
ModelConfig preset(const std::string& name);
/// Gives the config of a preset, else of a model directory. Throws Error listing the presets where
/// there is neither.
ModelConfig preset_or_directory(const std::string& name);
/// Gives all names: "llama2-7b", "llama2-70b" and so on.
std::vector<std::string> preset_names();

}  // namespace longgen
