#include "longgen/train/recipe/hybrid_config.h"

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/model/measured_plan.h"

namespace longgen {
namespace {

/// Names the recipe's key in whatever `make` throws.
template <typename Make>
auto named(const Recipe& recipe, const char* key, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    LG_FAIL(recipe.where(key), ": ", error.what());
  }
}

}  // namespace

Recipe with_listed_layers(Recipe recipe) {
  const ModelConfig model = load_model_config(recipe.model.path);
  auto& wanted = recipe.architecture;
  const std::string note = named(recipe, "architecture.layers",
                                 [&] { return other_sparse_note(wanted.layers, wanted.sparse); });
  if (!note.empty()) log_warning(note);
  wanted.layers =
      named(recipe, "architecture.layers", [&] { return listed_layers(wanted.layers, model); });
  return recipe;
}

ModelConfig hybrid_config(const Recipe& recipe) {
  const ModelConfig model = load_model_config(recipe.model.path);
  const auto& wanted = recipe.architecture;
  named(recipe, "architecture.layers",
        [&] { return parse_layer_plan(wanted.layers, "sink", model); });
  named(recipe, "architecture.sparse",
        [&] { return parse_layer_plan(wanted.layers, wanted.sparse, model); });
  HybridOptions options = {.layers = wanted.layers,
                           .sparse = wanted.sparse,
                           .context = wanted.context,
                           .rope = wanted.rope,
                           .purpose = RopePurpose::kTraining};
  const ModelConfig hybrid =
      named(recipe, "architecture.rope", [&] { return make_hybrid(model, options); });
  if (wanted.sparse_rope == SparseRope::extended) return hybrid;
  options.sparse_rope = wanted.sparse_rope;
  return named(recipe, "architecture.sparse_rope", [&] { return make_hybrid(model, options); });
}

}  // namespace longgen
