// base/progress.h: one progress bar on stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace longgen {

/// Shows "label [####....] 42% 1.2M/2.9M unit 310K unit/s ETA 1m02s  note", redrawn in place on a
/// terminal; otherwise a plain line every 30 seconds and one at the end, so that logs stay
/// readable. Not for use from several threads.
class Progress {
 public:
  /// `already_done` of the total were done before (a resumed run): they do not count for the rate.
  Progress(std::string label, int64_t total, std::string unit, int64_t already_done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` counts from 0 to total, in `unit`. `note` is free text after the ETA.
  void update(int64_t done, const std::string& note = "");
  /// Draws the last state and ends the line.
  void finish(const std::string& note = "");
  double seconds() const;

 private:
  void draw(bool last, const std::string& note);

  std::string label_, unit_, note_;
  int64_t total_, already_done_, done_;
  bool terminal_, finished_ = false, drawn_ = false;
  std::chrono::steady_clock::time_point start_, drawn_at_;
};

}  // namespace longgen
