#include "longgen/train/recipe/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "longgen/base/check.h"

namespace longgen {

double Schedule::learning_rate_at(int64_t step) const {
  LG_CHECK(step >= 1, "[schedule] steps count from 1, found step ", step, ".");
  step = std::min(step, total_steps);
  if (step <= warmup_steps) {
    return peak * (static_cast<double>(step) / static_cast<double>(warmup_steps));
  }
  if (kind == ScheduleKind::constant) return peak;
  const double progress =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  const double left =
      kind == ScheduleKind::linear ? 1 - progress : (1 + std::cos(std::numbers::pi * progress)) / 2;
  return peak * (final_share + (1 - final_share) * left);
}

}  // namespace longgen
