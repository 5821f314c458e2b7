// eval/tasks/ruler_qa.h: RULER's qa_1 and qa_2: a question about one document among many.
#pragma once

#include <memory>
#include <string>

#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

/// `name` is qa_1 or qa_2. The documents are those of the first file that the folder has: for qa_1
/// RULER's own qa/squad.json or qa/xquad.en.json, for qa_2 RULER's own qa/hotpotqa.json or
/// qa/nq_open_oracle.jsonl.
std::unique_ptr<LongTask> make_qa_task(const std::string& name,
                                       std::shared_ptr<const TaskMaterial> material);

}  // namespace longgen
