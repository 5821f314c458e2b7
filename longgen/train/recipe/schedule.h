// train/recipe/schedule.h: the learning rate of every step.
#pragma once

#include <cstdint>

namespace longgen {

enum class ScheduleKind { cosine, linear, constant };

/// Linear warm-up to the peak, then a fall to final_share * peak, or none (constant). A function
/// of the step alone, so that a resumed run goes on exactly.
struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  double peak = 0;
  double final_share = 0;    ///< of the peak; reached at the last step; not used by constant
  int64_t warmup_steps = 0;  ///< 0: the fall begins with the first step
  int64_t total_steps = 1;

  /// Steps count from 1. Within warm-up (step <= warmup_steps): peak * step / warmup_steps. Later,
  /// with p = (step - warmup_steps) / (total_steps - warmup_steps), cosine gives
  /// peak * (final_share + (1 - final_share) * (1 + cos(pi p)) / 2), linear a straight line between
  /// the same ends. Steps beyond the last keep the last one's rate. Throws Error for a step
  /// below 1.
  double learning_rate_at(int64_t step) const;
};

}  // namespace longgen
