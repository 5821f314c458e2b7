// measure/report.h: what a measurement says, as text for people and as files.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/measure/layer_choice.h"
#include "longgen/model/measured_plan.h"

namespace longgen {

struct MeasureReport {
  LayerChoice choice;
  int64_t num_layers = 0;
  std::vector<int64_t> edges;  ///< far_text_edges()
  std::string sparse;          ///< the pattern of sparse layers
  OrderedJson settings;        ///< how the numbers came about
};

/// Writes the tables that the command prints.
std::string to_text(const MeasureReport& report);
/// Gives what measurement.json holds.
OrderedJson to_json(const MeasureReport& report);
/// Gives the plan's order: what the model loses with each layer and those before it.
OrderedJson order_json(const LayerChoice& choice);

/// Writes plan.json, measurement.json, layers.csv, and the picture measure.png with its svg, data
/// and script. Without gnuplot a warning says so and the other files are written.
void write_measurement(const MeasureReport& report, const MeasuredPlan& plan,
                       const fs::path& folder);

}  // namespace longgen
