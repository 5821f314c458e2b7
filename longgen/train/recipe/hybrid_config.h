// train/recipe/hybrid_config.h: the model that a recipe makes.
#pragma once

#include "longgen/model/config.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// Reads the config.json at model.path and makes it that of a hybrid, as the recipe's
/// [architecture] says. Throws Error naming the file, or the recipe's key where the two do not fit.
ModelConfig hybrid_config(const Recipe& recipe);

}  // namespace longgen
