#include "longgen/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "longgen/base/log.h"
#include "longgen/base/progress_line.h"

namespace longgen {
namespace {

constexpr double kTerminalInterval = 0.1, kLogInterval = 30;  // seconds between redraws
constexpr int64_t kUsualColumns = 80;  // of a terminal that does not know its width
constexpr int64_t kLogColumns = 200;

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Asks at each redraw, because the window may have been resized. The last column stays free: some
/// terminals begin a new line as soon as it is written.
int64_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return std::max<int64_t>((known ? size.ws_col : kUsualColumns) - 1, 1);
}

}  // namespace

Progress::Progress(std::string label, int64_t total, std::string unit,
                   const ProgressOptions& options)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(total, 1)),
      done_(options.already_done),
      options_(options),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_at_(start_) {
  if (terminal_ && options_.delay_seconds <= 0) draw(false);
}

Progress::~Progress() {
  if (finished_ || !drawn_ || !terminal_) return;
  set_open_line(false);
  std::fputc('\n', stderr);
}

double Progress::seconds() const {
  return seconds_between(start_, std::chrono::steady_clock::now());
}

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  note_ = note;
  if (!terminal_ && done_ >= total_) return;  // finish() writes the same line
  const auto now = std::chrono::steady_clock::now();
  const double since = seconds_between(drawn_at_, now);
  const double interval = terminal_ ? kTerminalInterval : kLogInterval;
  if (since < (drawn_ ? interval : std::max(interval, options_.delay_seconds))) return;
  drawn_at_ = now;
  draw(false);
}

void Progress::finish(const std::string& note) {
  if (finished_) return;
  finished_ = true;
  if (!note.empty()) note_ = note;
  if (!drawn_ && seconds() < options_.delay_seconds) return;
  if (!options_.erase) return draw(true);
  if (!drawn_ || !terminal_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  set_open_line(false);
}

void Progress::draw(bool last) {
  ProgressState state{.label = label_,
                      .unit = unit_,
                      .done = done_,
                      .total = total_,
                      .finished = last,
                      .note = note_};
  state.rate = static_cast<double>(done_ - options_.already_done) / std::max(seconds(), 1e-9);
  const double left = static_cast<double>(total_ - done_);
  state.seconds = last ? seconds() : state.rate > 0 ? left / state.rate : -1;
  const std::string line = progress_line(state, terminal_ ? terminal_columns() : kLogColumns);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
    set_open_line(!last);
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace longgen
