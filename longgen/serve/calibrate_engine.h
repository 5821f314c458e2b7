// serve/calibrate_engine.h: measures steps of an engine before the first request.
#pragma once

#include <cstdint>
#include <functional>

#include "longgen/engine/engine.h"
#include "longgen/serve/schedule/cost_model.h"

namespace longgen {

struct CalibrationLimits {
  /// A step is only begun if it is expected to end within it; the first ones always are.
  double seconds = 1.5;
  int64_t max_chunk = 512;
  int64_t max_sequences = 64;
};

/// Adds steps of chunks of growing length, and of single tokens of several sequences, to the
/// calibration: at least one of each. The pool must have room for 130 tokens; what it has no room
/// for is left out. The sequences are gone at the end. `now` gives seconds.
void calibrate(Engine& engine, const CalibrationLimits& limits, const std::function<double()>& now,
               CostCalibration& calibration);

}  // namespace longgen
