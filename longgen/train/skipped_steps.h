// train/skipped_steps.h: steps whose loss or gradient is not finite, and runs of nothing else.
#pragma once

#include "longgen/train/saved_run.h"
#include "longgen/train/step.h"

namespace longgen {

/// Warns that a step changed nothing, and why.
void warn_of_skipped_step(int64_t step, const StepResult& result);

/// Throws Error where the run has skipped train.max_skipped_steps steps in a row, or every one, and
/// will not recover. Names the last checkpoint of `saved`, which is from before them.
void expect_progress(const Recipe& recipe, const RunState& state, const SavedRun& saved);

}  // namespace longgen
