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
/// For work that is mostly over at once: a bar is seen after a second, and goes at the end.
inline constexpr ProgressOptions kBarOfSlowWork{.delay_seconds = 1, .erase = true};

/// Shows progress_line() from the start on: on a terminal redrawn in place and cut to
/// its width at that moment, elsewhere as a plain line every 30 seconds and one at
/// the end, so that logs stay readable. Messages of base/log.h push it down a line.
/// One at a time may be shown, by one thread.
class Progress {
 public:
  Progress(std::string label, int64_t total, std::string unit, const ProgressOptions& options = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Shows `done`, which counts from 0 to total in `unit` ("B": bytes), and the note, which stands
  /// after the ETA (see ProgressState).
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
