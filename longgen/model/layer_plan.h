// model/layer_plan.h: which layers keep full attention, and what the others see.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/attention/pattern.h"

namespace longgen {

/// Full layers attend to everything; all others follow one sparse pattern.
struct LayerPlan {
  std::vector<int64_t> full_layers;  ///< ascending
  Pattern sparse = Pattern::parse("sink");

  bool is_full(int64_t layer) const;
  /// Gives the pattern of one layer, with a stride offset for each KV head.
  Pattern pattern(int64_t layer, int64_t num_kv_heads) const;
  bool operator==(const LayerPlan&) const = default;

  /// Gives the plan in which every layer is full.
  static LayerPlan all_full(int64_t num_layers);
};

/// Lists the full layers that a plan's name means: "middle:1/3" (round(L / 3) layers in the middle,
/// the paper's hourglass), "every:3" (layers 2, 5, 8, ...: the last of each three), "first:N",
/// "last:N", "all", or a list such as "10-19,25". Throws Error naming the forms.
std::vector<int64_t> parse_full_layers(std::string_view text, int64_t num_layers);

/// Makes a plan from what a user names: `layers` for parse_full_layers(), `sparse` for
/// Pattern::parse_sparse(). Where every layer is full "full" is taken as the pattern, too.
LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse, int64_t num_layers);

/// Writes "10-19 (10 of 30)".
std::string format_layers(const std::vector<int64_t>& layers, int64_t num_layers);

}  // namespace longgen
