#include "longgen/measure/variant_units.h"

#include "longgen/base/check.h"

namespace longgen {

VariantUnits units_of(const ModelConfig& config, const Pattern& sparse, bool by_head) {
  LG_CHECK(!by_head || config.num_kv_heads > 1,
           "--heads: the model has one KV head in each layer, which is the layer. Measure without "
           "--heads.");
  VariantUnits units = {
      .candidates = {}, .sparse = sparse, .per_layer = by_head ? config.num_kv_heads : 1};
  for (const int64_t layer : config.layers.full_layers()) {
    for (int64_t i = 0; i < units.per_layer; ++i) {
      units.candidates.push_back(layer * units.per_layer + i);
    }
  }
  return units;
}

}  // namespace longgen
