// eval/tasks/ruler_words.h: RULER's cwe and fwe: which words of a list are the most frequent?
#pragma once

#include <memory>

#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

/// Ten words stand 30 times each in a numbered list, the others 3 times; an example with its answer
/// goes before. Below 4,096 tokens, as in RULER, 6 times and once.
std::unique_ptr<LongTask> make_common_words_task(std::shared_ptr<const TaskMaterial> material);

/// Made-up words whose frequencies fall with the square of their rank; the first is "..." and does
/// not count, the next three are asked for.
std::unique_ptr<LongTask> make_frequent_words_task(std::shared_ptr<const TaskMaterial> material);

}  // namespace longgen
