// base/progress_line.h: what a progress bar says at one moment, as a line that fits a terminal.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

struct ProgressState {
  std::string label = {}, unit = {};
  int64_t done = 0, total = 1;
  double rate = 0;     ///< units a second; 0: not known yet
  double seconds = 0;  ///< left, or taken once `finished`; negative: not known yet
  bool finished = false;
  std::string note = {};  ///< parts separated by ", ", the most important one first
};

/// Returns "label [####................]  20% 1.2M/5.8M tokens 310K tokens/s ETA 14s  note" in at
/// most `columns` terminal columns (at least 1). Where that is too narrow, parts go in this order:
/// the bar shrinks and goes, the speed, the counts, the note's parts from its end, the time; what
/// is still too long is cut. Bytes (unit "B") read "1.15 MiB/5.50 MiB". Characters beyond ASCII
/// count as two columns, which none exceeds; control characters become '?', as labels may be names
/// of files.
std::string progress_line(const ProgressState& state, int64_t columns);

/// Returns the columns that a text takes on a terminal at most, counted as progress_line() does.
int64_t count_columns(const std::string& text);

}  // namespace longgen
