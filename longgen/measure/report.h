// measure/report.h: what a measurement says, as text for people and as files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/measure/gate_ranking.h"
#include "longgen/measure/layer_choice.h"
#include "longgen/measure/variant_units.h"
#include "longgen/model/measured_plan.h"

namespace longgen {

/// What a variant loses against the full model.
struct VariantLoss {
  double perplexity = 0;  ///< of far text: 0.01 is one per cent above
  double kl = 0;          ///< of far text, nats a token
  double answers = 0;     ///< by how much the answers' tokens are less probable, nats a token
  double lost = 0;        ///< as LossShares::lost()
};

struct MeasureReport {
  LayerChoice choice;
  int64_t num_layers = 0;
  int64_t per_layer = 1;             ///< units of a layer: 1, or KV heads (VariantUnits)
  std::vector<int64_t> edges;        ///< far_text_edges()
  std::string sparse;                ///< the pattern of sparse layers
  OrderedJson settings;              ///< how the numbers came about
  std::optional<GateRanking> gates;  ///< where a pass through gates was asked for

  bool by_head() const { return per_layer > 1; }
  const char* unit() const { return by_head() ? "KV head" : "layer"; }
  /// Writes a unit as "18", or as "18.2": KV head 2 of layer 18.
  std::string unit_name(int64_t unit) const;
  bool is_chosen(int64_t unit) const;
  VariantLoss loss_of(const VariantValues& variant) const;
};

/// Makes the report of a choice among units of a model. `settings` name the length of a sequence.
MeasureReport make_report(LayerChoice choice, const ModelConfig& model, const VariantUnits& units,
                          OrderedJson settings);

/// Says how many units hold nine tenths of what all lose alone, in a sentence.
std::string concentration_text(const MeasureReport& report);

/// Says how the ranking by gates agrees with what was measured, in a sentence; empty without one.
std::string gates_text(const MeasureReport& report);

/// Says in sentences what is not as it was asked for, or does not count.
std::vector<std::string> warnings(const LayerChoice& choice, const ChoiceOptions& options);

/// Writes the tables that the command prints.
std::string to_text(const MeasureReport& report);
/// Gives what measurement.json holds.
OrderedJson to_json(const MeasureReport& report);
/// Makes the plan of the chosen layers. The settings of the report hold the model's hash.
MeasuredPlan measured_plan(const MeasureReport& report, const ModelConfig& model,
                           const std::string& model_name);

/// Writes measurement.json, layers.csv (heads.csv), and the picture measure.png with its svg, data
/// and script. Without gnuplot a warning says so and the other files are written.
void write_measurement(const MeasureReport& report, const fs::path& folder);

}  // namespace longgen
