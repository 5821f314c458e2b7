// model/measured_plan.h: layer plans that `longgen measure` writes, and "measured:FILE" as the name
// of one, wherever a layer plan is named.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/model/config.h"

namespace longgen {

/// The sizes that a plan was measured with, by the names that they have in its file, in the order
/// in which they are compared. A plan fits models of the same sizes: others have other layers.
using PlanSizes = std::array<std::pair<const char*, int64_t>, 7>;
PlanSizes plan_sizes(const ModelConfig& config);

struct MeasuredPlan {
  PlanSizes sizes;
  std::string model_name, model_hash;  ///< what was measured, for the record
  std::vector<int64_t> full_layers;    ///< ascending, at least one
  std::string sparse;                  ///< of the other layers, as Pattern::parse_sparse() reads it
  /// Layers, the one that gave most first: the first n are the best n that were found, and those of
  /// full_layers come first. Each is an object with `layer` and what the model with it and those
  /// before it lost.
  OrderedJson order = OrderedJson::array();
  OrderedJson measured_on = OrderedJson::object();  ///< texts, tokens, length and so on
};

/// Writes a plan file's text.
std::string dump_measured_plan(const MeasuredPlan& plan);

/// Reads a plan file, or plan.json of a folder. Throws Error naming file, field, expected and found
/// on anything that dump_measured_plan() does not write.
MeasuredPlan read_measured_plan(const fs::path& path);

/// Replaces "measured:FILE" by the list of the plan's full layers ("3,7,18"); every other name of a
/// plan stays as it is. Throws Error as read_measured_plan() does, and where the file was measured
/// on a model of other sizes, naming the first that differs.
std::string listed_layers(std::string_view layers, const ModelConfig& model);

/// Does what parse_layer_plan() of model/layer_plan.h does with a model's own plan, and takes
/// "measured:FILE" as `layers`, too. What the plan's sparse layers saw is not used: `sparse` is.
LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse,
                           const ModelConfig& model);

/// Says in a sentence that the plan named by `layers` was measured with another pattern than
/// `sparse`. Empty where it was not, and where `layers` names no measured plan.
std::string other_sparse_note(std::string_view layers, std::string_view sparse);

}  // namespace longgen
