// eval/tasks/open_tasks.h: the tasks of a suite by their names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/eval/prompt_fitter.h"
#include "longgen/eval/suite/task.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct OpenTasksOptions {
  /// Groups ("ruler", "babilong", "short"), tasks, and "jsonl:FILE".
  std::vector<std::string> names;
  fs::path folder;                      ///< of the files: --items
  std::vector<int64_t> lengths_tokens;  ///< of the long tasks, each; none: 4K, 8K and 16K
  std::vector<fs::path> texts = {};     ///< that long tasks hide things in, as LongTaskOptions has
  int64_t samples = 0;                  ///< of each task; 0: all, and kLongSamples of a long task
  uint64_t seed = 42;
  int64_t shots = 0;     ///< before each question of MMLU
  PromptWrap wrap = {};  ///< the chat format, whose tokens count in a long task's length
};
inline constexpr int64_t kLongSamples = 20;

/// The names of groups and tasks, as messages list them.
std::vector<std::string> suite_task_names();

/// Opens the tasks in the order of their names, a long one at each length. The tokenizer, which
/// counts the length of long tasks, must outlive them; all tasks together serve one thread at a
/// time. Throws Error on a name that is none or is there twice, on files that are missing or
/// malformed, and on options that none of the tasks reads.
std::vector<SuiteTask> open_tasks(const Tokenizer& tokenizer, const OpenTasksOptions& options);

}  // namespace longgen
