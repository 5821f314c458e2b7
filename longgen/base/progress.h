// base/progress.h: one progress bar on stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace longgen {

struct ProgressOptions {
  int64_t already_done = 0;  ///< of the total, by an earlier run: does not count for the rate
  double delay_seconds = 0;  ///< what is done by then shows nothing at all
  bool erase = false;        ///< at the end the bar goes, instead of staying as a line
};

/// Shows progress_line(), redrawn in place on a terminal and cut to its width at that moment, from
/// the start on; otherwise a plain line every 30 seconds and one at the end, so that logs stay
/// readable. Messages of base/log.h push it down a line. Not for use from several threads, and one
/// at a time.
class Progress {
 public:
  Progress(std::string label, int64_t total, std::string unit, const ProgressOptions& options = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` counts from 0 to total, in `unit` ("B": bytes). The note stands after the ETA (see
  /// ProgressState).
  void update(int64_t done, const std::string& note = "");
  /// Draws the last state and ends the line, or erases it.
  void finish(const std::string& note = "");
  double seconds() const;

 private:
  void draw(bool last);

  std::string label_, unit_, note_;
  int64_t total_, done_;
  ProgressOptions options_;
  bool terminal_, finished_ = false, drawn_ = false;
  std::chrono::steady_clock::time_point start_, drawn_at_;
};

}  // namespace longgen
