// eval/suite/run_task.h: a model on the items of a task.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/suite/item_log.h"
#include "longgen/eval/suite/item_result.h"
#include "longgen/eval/suite/prompt_encoder.h"
#include "longgen/eval/suite/task.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// What a model's items run on.
struct SuiteModel {
  Engine& engine;
  const Tokenizer& tokenizer;
  const PromptEncoder& encoder;
  std::vector<int32_t> stop_tokens;        ///< that end a reply
  int64_t step_tokens;                     ///< that pass the layers at once
  std::optional<CachePolicy> policy = {};  ///< one sequence at a time under it, not by the engine
};

struct RunTaskOptions {
  /// Called with the number of items that are finished, those of an earlier run too.
  std::function<void(int64_t items)> on_progress = [](int64_t) {};
  /// Asked between steps and layers; no ends the run, with the items so far.
  std::function<bool()> goes_on = [] { return true; };
};

struct TaskRun {
  std::vector<std::optional<ItemResult>> items;  ///< by number; nothing where not finished
  int64_t num_new = 0;                           ///< items that this run has finished
  int64_t tokens = 0;                            ///< of contexts, continuations and replies of them
  double seconds = 0;
  bool finished = false;
};

/// Finishes the items that the log does not have, and adds each to it as soon as it is done. Errors
/// name task and item.
TaskRun run_task(const SuiteTask& task, const SuiteModel& model, ItemLog& log,
                 const RunTaskOptions& options = {});

}  // namespace longgen
