// train/log/step_log.h: what a run tells of its steps, to metrics.jsonl and to TensorBoard.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/train/log/event_file.h"
#include "longgen/train/log/metrics_log.h"

namespace longgen {

/// The held-out loss of a dataset of a mixture.
struct SourceLoss {
  std::string name;
  double loss = 0;
};

/// The numbers of one step. docs/recipes.md says what each is; a test holds the two together.
struct StepRecord {
  int64_t step = 0;
  double loss = 0;
  bool aligns = false;  ///< the loss is that of alignment
  double learning_rate = 0;
  double grad_norm = 0;
  int64_t tokens = 0;  ///< of the run so far
  double tokens_per_s = 0;
  double seconds = 0;  ///< of this step
  int64_t memory_bytes = 0;
  std::optional<double> distill_loss = std::nullopt;  ///< where there is a teacher
  std::optional<double> eval_loss = std::nullopt;     ///< where it was measured
  std::vector<SourceLoss> eval_losses = {};           ///< the same by source, of a mixture
};

/// A number of a step: its field in metrics.jsonl, and its tag in TensorBoard.
struct StepField {
  std::string_view name, tag;
};
/// All fields but "step", in the order of a line. "eval_losses" is an object with a number a
/// source, whose tag has the source's name in place of NAME.
std::vector<StepField> step_fields();

class StepLog {
 public:
  /// Opens the files as MetricsLog and EventFile do; without a tensorboard folder no events are
  /// written.
  StepLog(const fs::path& metrics, const std::optional<fs::path>& tensorboard, int64_t resume_step);

  /// A line, and an event. Throws Error where they cannot be written.
  void write(const StepRecord& record);

 private:
  MetricsLog metrics_;
  std::optional<EventFile> events_;
};

}  // namespace longgen
