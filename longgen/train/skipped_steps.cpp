#include "longgen/train/skipped_steps.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/log.h"

namespace longgen {

void warn_of_skipped_step(int64_t step, const StepResult& result) {
  const bool finite = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
  log_warning(detail::concat("step ", step, ": loss ", result.loss, ", gradient norm ",
                             result.gradient_norm, ": ",
                             finite ? "beyond what AdamW's moments hold" : "not finite",
                             ", so this step changes nothing"));
}

void expect_progress(const Recipe& recipe, const RunState& state, const SavedRun& saved) {
  const int64_t row = state.skipped_in_a_row, step = state.step;
  if (row < std::min(recipe.train.max_skipped_steps, recipe.total_steps())) return;
  const std::optional<fs::path> last = saved.last_folder();
  LG_FAIL(recipe.where("train.max_skipped_steps"), ": ",
          row == 1 ? "step " : detail::concat("steps ", step - row + 1, " to "), step,
          " gave a loss or a gradient that is not finite and changed nothing, so the run stops; "
          "no model is written.",
          last ? "\n  The last checkpoint, " + last->string() + ", is from before them."
               : "\n  There is no checkpoint of this run.",
          row == step
              ? "\n  No step was finite. Likely the model itself is not sound in this precision: "
                "does `longgen eval perplexity` give a number for model.path? Then see "
                "architecture.rope and data.path."
              : "\n  Likely the steps before them were too large: a smaller train.learning_rate, "
                "a longer train.warmup_steps, or train.clip_norm = 1.");
}

}  // namespace longgen
