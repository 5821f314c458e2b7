#include "longgen/serve/calibrate_engine.h"

#include <algorithm>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kFirstChunk = Pattern::kBlock;
// What a sequence begins with that is there to make a step of many.
constexpr int64_t kShortPrompt = 16;

class CalibrationRun {
 public:
  CalibrationRun(Engine& engine, const CalibrationLimits& limits,
                 const std::function<double()>& now, CostCalibration& calibration)
      : engine_(engine),
        limits_(limits),
        now_(now),
        calibration_(calibration),
        end_(now() + limits.seconds) {}
  ~CalibrationRun() {
    for (const SequenceId sequence : sequences_) engine_.remove(sequence);
  }
  CalibrationRun(const CalibrationRun&) = delete;
  CalibrationRun& operator=(const CalibrationRun&) = delete;

  void run() {
    add_sequences(1);
    // The first step of each kind allocates, and reads weights from the disk.
    measure(0, 1, kFirstChunk);
    measure(0, 1, 1);
    seconds_per_row_ = 0;
    for (const int64_t num_tokens : {kFirstChunk, int64_t{1}}) {
      add(0, 1, num_tokens, measure(0, 1, num_tokens));
    }
    add_decoders(4);
    for (int64_t chunk = 2 * kFirstChunk; chunk <= limits_.max_chunk; chunk *= 2) {
      if (!step(0, 1, chunk)) break;
    }
    step(0, 1, 1);
    add_decoders(16);
    add_decoders(64);
  }

 private:
  void add_sequences(int64_t count) {
    while (std::ssize(sequences_) < count) sequences_.push_back(engine_.add());
  }

  void add_decoders(int64_t count) {
    count = std::min(count, limits_.max_sequences);
    const auto first = static_cast<int64_t>(sequences_.size());
    if (count <= first) return;
    add_sequences(count);
    if (!step(first, count - first, kShortPrompt)) {
      while (std::ssize(sequences_) > first) {
        engine_.remove(sequences_.back());
        sequences_.pop_back();
      }
      return;
    }
    // The first one records a graph on a GPU.
    for (const bool counts : {false, true, true}) step(0, count, 1, counts);
  }

  /// The next tokens of `count` sequences, as many of each. False, and nothing was done, where time
  /// or pages are lacking.
  bool step(int64_t first, int64_t count, int64_t num_tokens, bool counts = true) {
    const double expected = seconds_per_row_ * static_cast<double>(count * num_tokens);
    if (now_() + expected > end_) return false;
    const std::vector<int32_t> tokens(static_cast<size_t>(num_tokens), 0);
    if (engine_.pages_needed(parts(first, count, tokens)) > engine_.pool().pages_left()) {
      return false;
    }
    const double seconds = measure(first, count, num_tokens);
    if (counts) add(first, count, num_tokens, seconds);
    return true;
  }

  std::vector<BatchPart> parts(int64_t first, int64_t count,
                               const std::vector<int32_t>& tokens) const {
    std::vector<BatchPart> parts;
    for (int64_t i = first; i < first + count; ++i) parts.push_back({sequences_[i], tokens});
    return parts;
  }

  double measure(int64_t first, int64_t count, int64_t num_tokens) {
    const std::vector<int32_t> tokens(static_cast<size_t>(num_tokens), 0);
    const double begin = now_();
    const BatchResult result = engine_.step(parts(first, count, tokens));
    LG_CHECK(result.end == BatchEnd::done, "[serve] the KV cache of ",
             engine_.pool().pages_left() + engine_.pool().pages_in_use(),
             " pages is too small for ", engine_.num_tokens(sequences_.front()) + num_tokens,
             " tokens. Give it more memory.");
    return now_() - begin;
  }

  /// Counts a step that has been done.
  void add(int64_t first, int64_t count, int64_t num_tokens, double seconds) {
    StepWork work;
    for (int64_t i = first; i < first + count; ++i) {
      const int64_t before = engine_.num_tokens(sequences_[i]) - num_tokens;
      if (num_tokens == 1) {
        work.add_decoder(before);
      } else {
        work.add_prefill(before, num_tokens);
      }
    }
    calibration_.add(work, seconds);
    seconds_per_row_ = seconds / work.rows;
  }

  Engine& engine_;
  const CalibrationLimits& limits_;
  const std::function<double()>& now_;
  CostCalibration& calibration_;
  double end_;
  std::vector<SequenceId> sequences_;
  double seconds_per_row_ = 0;  // of the last step
};

}  // namespace

void calibrate(Engine& engine, const CalibrationLimits& limits, const std::function<double()>& now,
               CostCalibration& calibration) {
  CalibrationRun(engine, limits, now, calibration).run();
}

}  // namespace longgen
