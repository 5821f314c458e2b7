// train/log/metrics_log.h: metrics.jsonl, what a run measured, step by step.
#pragma once

#include "longgen/base/append_file.h"
#include "longgen/base/json.h"

namespace longgen {

/// One JSON object a line, in the order of writing. A killed process loses no line that write()
/// returned from.
class MetricsLog {
 public:
  static constexpr int64_t kNewRun = -1;

  /// kNewRun begins an empty log in place of an existing one. Otherwise the run goes on after
  /// resume_step: lines of later steps are dropped, because they will be written again, and so is a
  /// torn last line. Lines that hold no object with an integer "step" are dropped with a warning.
  /// The old file is replaced as a whole. Throws Error naming the file where it cannot be read or
  /// written.
  MetricsLog(const fs::path& path, int64_t resume_step);

  /// `fields` is an object with an integer "step", for example
  /// {{"step", 3}, {"loss", 2.5}, {"tokens", 49152}}. Their order is kept. NaN and infinity become
  /// null, which is what JSON has for them.
  void write(const OrderedJson& fields);
  const fs::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace longgen
