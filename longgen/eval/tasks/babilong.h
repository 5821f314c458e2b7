// eval/tasks/babilong.h: BABILong: the facts of a bAbI story among the sentences of books.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "longgen/eval/tasks/babilong_prompts.h"
#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

std::unique_ptr<LongTask> make_babilong_task(const BabilongPrompt& prompt,
                                             std::shared_ptr<const TaskMaterial> material);

/// Gives BABILong's score, 1 or 0: of the reply's first sentence, whether the labels in it that the
/// question does not name are just those of the answer, such as "apple,milk". A label within a
/// longer one ("one" in "none") is not found there: BABILong finds it, and so counts every "none"
/// of qa7 as wrong. In all else a label is found within words, as there.
double score_babilong(std::string_view reply, const std::string& question,
                      const std::string& answer, std::span<const std::string> labels);

}  // namespace longgen
