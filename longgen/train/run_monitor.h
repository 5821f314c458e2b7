// train/run_monitor.h: what a run tells while it goes.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/base/progress.h"
#include "longgen/train/log/step_log.h"
#include "longgen/train/recipe/recipe.h"
#include "longgen/train/run_directory.h"

namespace longgen {

/// Writes metrics.jsonl and TensorBoard's events, and shows a line of progress.
class RunMonitor {
 public:
  RunMonitor(const Recipe& recipe, at::Device device) : recipe_(recipe), device_(device) {}

  /// Opens the logs as StepLog does. Without this nothing is written. Throws Error where they
  /// cannot be.
  void open_logs(const RunDirectory& directory, int64_t resume_step);

  /// Shows the progress from now on, with these tokens done by earlier calls.
  void show_progress(int64_t done_tokens);
  /// Shows how far the step under way is; `share` 0 to 1.
  void update(int64_t step, double share);
  /// Shows this loss beside the progress from the next update() on.
  void set_loss(double loss);
  /// Writes the record of a step. Throws Error where it cannot be written.
  void write(const StepRecord& record);
  /// Ends the line of progress.
  void finish();

  /// Memory that the process holds, or that it holds of its GPU.
  int64_t held_bytes() const;
  int64_t peak_bytes() const;

 private:
  const Recipe& recipe_;
  at::Device device_;
  std::optional<StepLog> log_;
  std::optional<Progress> progress_;
  std::string note_;  // on the last step
};

}  // namespace longgen
