// train/recipe/hybrid_config.h: the model that a recipe makes.
#pragma once

#include "longgen/model/config.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// Reads the config.json at model.path and makes it that of a hybrid, as the recipe's
/// [architecture] says. Throws Error naming the file, or the recipe's key where the two do not fit.
ModelConfig hybrid_config(const Recipe& recipe);

/// Replaces "measured:FILE" as architecture.layers by the list of layers that stands in the file:
/// a run goes on with the layers that it began with, whatever becomes of the file. Throws Error as
/// hybrid_config().
Recipe with_listed_layers(Recipe recipe);

}  // namespace longgen
