// measure/report.h: what a measurement says, as text for people and as files.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/measure/layer_choice.h"

namespace longgen {

struct MeasureReport {
  LayerChoice choice;
  int64_t num_layers = 0;
  int64_t per_layer = 1;       ///< units of a layer: 1, or KV heads (VariantUnits)
  std::vector<int64_t> edges;  ///< far_text_edges()
  std::string sparse;          ///< the pattern of sparse layers
  OrderedJson settings;        ///< how the numbers came about
};

/// Writes the tables that the command prints.
std::string to_text(const MeasureReport& report);
/// Gives what measurement.json holds.
OrderedJson to_json(const MeasureReport& report);
/// Gives the plan's order: what the model loses with each unit and those before it.
OrderedJson order_json(const MeasureReport& report);

/// Writes measurement.json, layers.csv (heads.csv), and the picture measure.png with its svg, data
/// and script. Without gnuplot a warning says so and the other files are written.
void write_measurement(const MeasureReport& report, const fs::path& folder);

}  // namespace longgen
