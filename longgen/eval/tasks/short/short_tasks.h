// eval/tasks/short/short_tasks.h: tasks of short questions, from a folder of files. Prompts are
// those of lm-eval's tasks of the same names (read in lm-eval 0.4.13; docs/suites.md says where
// the two differ).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/eval/suite/task.h"

namespace longgen {

/// The name of the group, which stands for those of its tasks that have a score.
inline constexpr const char* kShortGroup = "short";
/// The group of files of the user's.
inline constexpr const char* kUserGroup = "jsonl";

/// All names, in the order of reports.
const std::vector<std::string>& short_task_names();
/// Those that kShortGroup stands for: without mmlu_cloze, MMLU's other form, and humaneval, whose
/// score would need the replies to be run.
const std::vector<std::string>& short_group();

struct ShortTaskOptions {
  fs::path folder;    ///< of the files
  int64_t shots = 0;  ///< solved questions before each one of MMLU, from mmlu_dev.jsonl
};

/// Opens one of the tasks. Throws Error where its file is missing, naming it, or malformed, naming
/// line and field.
SuiteTask open_short_task(const std::string& name, const ShortTaskOptions& options);

/// Opens a file of the user's: lines of one form, choices or replies (docs/suites.md). Its name is
/// that of the file without the ending.
SuiteTask open_user_task(const fs::path& file);

}  // namespace longgen
