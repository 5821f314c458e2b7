// measure/variant_units.h: what variants of a model make sparse.
#pragma once

#include <cstdint>

#include "longgen/attention/pattern.h"
#include "longgen/measure/journal.h"
#include "longgen/model/config.h"

namespace longgen {

/// Whole layers, or KV heads with the query heads that read them. Units are numbered through all
/// layers: unit u is of layer u / per_layer.
struct VariantUnits {
  LayerSet candidates;  ///< units, ascending; layers of which none is named see what the model's do
  Pattern sparse;
  int64_t per_layer = 1;  ///< 1, or the model's number of KV heads

  int64_t size() const { return static_cast<int64_t>(candidates.size()); }
  bool by_head() const { return per_layer > 1; }
};

/// Gives the full layers of a model, or all KV heads of these layers. Throws Error, naming --heads,
/// where layers have one KV head each.
VariantUnits units_of(const ModelConfig& config, const Pattern& sparse, bool by_head);

}  // namespace longgen
