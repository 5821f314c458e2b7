// eval/suite/suite_report.h: the results of models on tasks, as a table and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/eval/suite/item_result.h"
#include "longgen/eval/suite/task.h"
#include "longgen/report/paired.h"

namespace longgen {

/// What models gave to the items of one task.
struct TaskResults {
  SuiteTask task;
  /// Of each model, in order of the report: the items by their number; nothing where an item is not
  /// finished.
  std::vector<std::vector<std::optional<ItemResult>>> models;
};

struct ScoreSummary {
  int64_t num_items = 0;  ///< finished ones that have the score
  double mean = 0;
  /// To the first model, over the items that both have; unset for the first model itself.
  PairedDifference difference;
};

struct SuiteRow {
  std::string task;   ///< label of a task, or "ruler-32K average"
  std::string score;  ///< "acc"
  std::string group;
  int64_t length_tokens = 0;  ///< 0 where the task has none
  bool is_average = false;
  std::vector<ScoreSummary> models;
};

/// A row for each task and score, in their order; then, for each group and length with several
/// tasks, the average of the tasks' first scores, each task with the same weight. A task in which a
/// model has no item yet is in no average.
std::vector<SuiteRow> suite_rows(const std::vector<TaskResults>& results);

/// Counts the finished items of a model that were truncated.
int64_t num_truncated(const TaskResults& task, size_t model);

/// Scores are shares, shown in percent, but for "nll".
bool is_share(const SuiteRow& row);
/// "52.3%", or "2.345" of nll; "-" without items.
std::string value_text(const SuiteRow& row, const ScoreSummary& summary);

/// The rows as cells, below a row of names: the first model's value in percent, of the others the
/// difference in points with its interval; "nll" in nats.
std::vector<std::vector<std::string>> suite_table(const std::vector<TaskResults>& results,
                                                  const std::vector<std::string>& models);
/// Says below the table, a line for each model and task, what was truncated, whose replies are kept
/// without a score, and what was not finished; empty where there is nothing to say.
std::string suite_notes(const std::vector<TaskResults>& results,
                        const std::vector<std::string>& models);

/// What results.json holds, and --json prints.
OrderedJson suite_json(const std::vector<TaskResults>& results,
                       const std::vector<std::string>& models, const OrderedJson& settings);

}  // namespace longgen
