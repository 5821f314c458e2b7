#include "longgen/train/recipe/hybrid_config.h"

#include "longgen/base/check.h"

namespace longgen {

ModelConfig hybrid_config(const Recipe& recipe) {
  const ModelConfig model = load_model_config(recipe.model.path);
  const auto& wanted = recipe.architecture;
  const auto named = [&](const char* key, const auto& make) {
    try {
      return make();
    } catch (const Error& error) {
      LG_FAIL(recipe.where(key), ": ", error.what());
    }
  };
  named("architecture.layers",
        [&] { return parse_layer_plan(wanted.layers, "sink", model.layers); });
  named("architecture.sparse",
        [&] { return parse_layer_plan(wanted.layers, wanted.sparse, model.layers); });
  HybridOptions options = {.layers = wanted.layers,
                           .sparse = wanted.sparse,
                           .context = wanted.context,
                           .rope = wanted.rope,
                           .purpose = RopePurpose::kTraining};
  const ModelConfig hybrid =
      named("architecture.rope", [&] { return make_hybrid(model, options); });
  if (wanted.sparse_rope == SparseRope::extended) return hybrid;
  options.sparse_rope = wanted.sparse_rope;
  return named("architecture.sparse_rope", [&] { return make_hybrid(model, options); });
}

}  // namespace longgen
