// bench/model_report.h: what the measurements of a model say, beside what the planner predicts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/bench/model_subject.h"
#include "longgen/plan/devices.h"
#include "longgen/plan/memory.h"

namespace longgen {

/// What was measured, for the closed forms of exactly this work.
struct MeasuredWork {
  ModelSubject subject;
  NumberFormat format = NumberFormat::float32;
  bool on_gpu = false;
  int64_t tokens = 0, decode_tokens = 0, chunk = 0, batch = 1;
  TrainingOptions training;  ///< its chunk_rows are not read
  /// Whose times are predicted; none are where it is not known.
  std::optional<DeviceSpec> device;
};

/// One round's sample of a variant, from those of its cuts (model_sample.h, serving and training
/// merged) in the order of cuts_of(): the cut itself, or the whole model by combine_cuts(). Rates
/// are those of the first.
OrderedJson combine_samples(const std::vector<OrderedJson>& cuts, const LayerPlan& layers,
                            const MeasuredWork& work);

/// Summarizes all rounds of a variant: medians, ranges, rates, shares of the GEMM rate, predictions
/// and measured / predicted. docs/bench/README.md lists the keys.
OrderedJson summarize_variant(const std::string& variant, const std::vector<OrderedJson>& rounds,
                              const MeasuredWork& work);

/// The most memory that one process of a variant takes, as the planner counts it: for serving
/// (prefill and decode), for a training step, or the larger of both.
int64_t predicted_peak_bytes(const std::string& variant, const MeasuredWork& work, bool serving,
                             bool training);

/// Writes summaries as a table; with "full" and "hybrid" among them also their ratios.
std::string to_text(const std::vector<OrderedJson>& variants);

}  // namespace longgen
