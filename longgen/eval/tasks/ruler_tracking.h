// eval/tasks/ruler_tracking.h: RULER's vt: follow a chain of variable assignments.
#pragma once

#include <memory>

#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

/// One chain of four hops among the lines of RULER's noise, after an example of the same kind of
/// about 500 tokens.
std::unique_ptr<LongTask> make_tracking_task(std::shared_ptr<const TaskMaterial> material);

}  // namespace longgen
