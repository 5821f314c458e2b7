#include "longgen/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr int kBarWidth = 20;
constexpr double kTerminalInterval = 0.1, kLogInterval = 30;  // seconds between redraws

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// "310K tokens/s", or "1m40s each" of what takes longer than a second.
std::string speed(double rate, const std::string& unit) {
  if (rate > 0 && rate < 1) return format_duration(1 / rate) + " each";
  return fmt::format("{} {}/s", format_si(rate), unit);
}

}  // namespace

Progress::Progress(std::string label, int64_t total, std::string unit, int64_t already_done)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(total, 1)),
      already_done_(already_done),
      done_(already_done),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_at_(start_) {}

Progress::~Progress() {
  if (!finished_ && drawn_ && terminal_) std::fputc('\n', stderr);
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
  if (since < (terminal_ ? kTerminalInterval : kLogInterval)) return;
  drawn_at_ = now;
  draw(false, note);
}

void Progress::finish(const std::string& note) {
  if (finished_) return;
  draw(true, note.empty() ? note_ : note);
  finished_ = true;
}

void Progress::draw(bool last, const std::string& note) {
  const double share =
      std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
  const double rate = static_cast<double>(done_ - already_done_) / std::max(seconds(), 1e-9);
  const double eta = rate > 0 ? static_cast<double>(total_ - done_) / rate : -1;
  const int filled = static_cast<int>(share * kBarWidth);
  const std::string line = fmt::format(
      "{} [{}{}] {:3.0f}% {}/{} {} {} {} {}{}", label_, std::string(filled, '#'),
      std::string(kBarWidth - filled, '.'), share * 100, format_si(static_cast<double>(done_)),
      format_si(static_cast<double>(total_)), unit_, speed(rate, unit_), last ? "took" : "ETA",
      format_duration(last ? seconds() : eta), note.empty() ? "" : "  " + note);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace longgen
