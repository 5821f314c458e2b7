#include "longgen/train/run_monitor.h"

#include <cstdio>

#include "longgen/base/check.h"
#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/device/gpu_memory.h"

namespace longgen {
namespace {

std::optional<fs::path> tensorboard_folder(const Recipe& recipe, const RunDirectory& directory) {
  return recipe.log.tensorboard ? std::optional(directory.tensorboard()) : std::nullopt;
}

}  // namespace

void RunMonitor::open_logs(const RunDirectory& directory, int64_t resume_step) {
  log_.emplace(directory.metrics(), tensorboard_folder(recipe_, directory), resume_step);
}

void RunMonitor::write(const StepRecord& record) {
  if (log_) log_->write(record);
}

void RunMonitor::show_progress(int64_t done_tokens) {
  progress_.emplace("extend", recipe_.total_steps() * recipe_.tokens_per_step(), "tokens",
                    ProgressOptions{.already_done = done_tokens});
}

void RunMonitor::update(int64_t step, double share) {
  if (!progress_) return;
  const double done_steps = static_cast<double>(step - 1) + share;
  progress_->update(
      static_cast<int64_t>(done_steps * static_cast<double>(recipe_.tokens_per_step())),
      detail::concat("step ", step, "/", recipe_.total_steps(), note_));
}

void RunMonitor::set_loss(double loss) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4f", loss);
  note_ = detail::concat(", loss ", text, ", ", format_bytes(held_bytes()));
}

void RunMonitor::finish() {
  if (progress_) progress_->finish();
}

int64_t RunMonitor::held_bytes() const {
  return device_.is_cuda() ? gpu_memory(device_).reserved : memory_bytes();
}

int64_t RunMonitor::peak_bytes() const {
  return device_.is_cuda() ? gpu_memory(device_).peak_reserved : peak_memory_bytes();
}

}  // namespace longgen
