#include "longgen/eval/suite/suite_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "longgen/base/units.h"
#include "longgen/report/report_files.h"

namespace longgen {
namespace {

using Items = std::vector<std::optional<ItemResult>>;

int64_t num_finished(const Items& items) {
  return std::count_if(items.begin(), items.end(),
                       [](const auto& item) { return item.has_value(); });
}

ScoreSummary summary_of(const Items& items, const std::string& score) {
  ScoreSummary summary;
  for (const auto& item : items) {
    const double* value = item ? item->score(score) : nullptr;
    if (value == nullptr) continue;
    ++summary.num_items;
    summary.mean += *value;
  }
  if (summary.num_items > 0) summary.mean /= static_cast<double>(summary.num_items);
  return summary;
}

PairedDifference difference_of(const Items& first, const Items& second, const std::string& score) {
  std::vector<double> a, b;
  for (size_t i = 0; i < first.size(); ++i) {
    const double* of_first = first[i] ? first[i]->score(score) : nullptr;
    const double* of_second = second[i] ? second[i]->score(score) : nullptr;
    if (of_first == nullptr || of_second == nullptr) continue;
    a.push_back(*of_first);
    b.push_back(*of_second);
  }
  return paired_difference(a, b);
}

SuiteRow row_of(const TaskResults& results, const std::string& score) {
  SuiteRow row{.task = results.task.label(),
               .score = score,
               .group = results.task.group,
               .length_tokens = results.task.length_tokens,
               .models = {}};
  for (const Items& items : results.models) {
    row.models.push_back(summary_of(items, score));
    if (row.models.size() == 1) continue;
    row.models.back().difference = difference_of(results.models.front(), items, score);
  }
  return row;
}

/// The average of rows, each the first score of a task.
SuiteRow average_of(const std::vector<SuiteRow>& rows) {
  SuiteRow average = rows.front();
  average.is_average = true;
  average.score = "average";
  average.task = average.group;
  if (average.length_tokens > 0) average.task += "-" + token_label(average.length_tokens);
  for (size_t m = 0; m < average.models.size(); ++m) {
    ScoreSummary& summary = average.models[m];
    summary = {};
    std::vector<PairedDifference> differences;
    for (const SuiteRow& row : rows) {
      summary.num_items += row.models[m].num_items;
      summary.mean += row.models[m].mean / static_cast<double>(rows.size());
      if (m > 0) differences.push_back(row.models[m].difference);
    }
    if (m > 0) summary.difference = average_difference(differences);
  }
  return average;
}

bool is_everywhere(const SuiteRow& row) {
  return std::all_of(row.models.begin(), row.models.end(),
                     [](const ScoreSummary& model) { return model.num_items > 0; });
}

std::vector<SuiteRow> averages_of(const std::vector<TaskResults>& results) {
  std::vector<std::pair<std::string, int64_t>> keys;
  std::vector<std::vector<SuiteRow>> rows_of_key;
  for (const TaskResults& task : results) {
    if (task.task.scores.empty()) continue;
    const SuiteRow row = row_of(task, task.task.scores.front());
    if (!is_everywhere(row)) continue;
    const std::pair key(row.group, row.length_tokens);
    const auto place = static_cast<size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    if (place == keys.size()) {
      keys.push_back(key);
      rows_of_key.emplace_back();
    }
    rows_of_key[place].push_back(row);
  }
  std::vector<SuiteRow> averages;
  for (const auto& rows : rows_of_key) {
    if (rows.size() > 1) averages.push_back(average_of(rows));
  }
  return averages;
}

/// Of a model that is not the first.
std::string compared_text(const SuiteRow& row, const ScoreSummary& summary) {
  return is_share(row) ? difference_text(summary.difference, 1, "", 100)
                       : difference_text(summary.difference, 3);
}

OrderedJson difference_json(const PairedDifference& difference) {
  if (difference.num_items == 0) return nullptr;
  OrderedJson json = {{"items", difference.num_items}, {"mean", difference.mean}};
  json["interval"] = nullptr;
  if (difference.interval) {
    json["interval"] = {difference.interval->low, difference.interval->high};
  }
  return json;
}

OrderedJson row_json(const SuiteRow& row, const std::vector<std::string>& models) {
  OrderedJson json = {{"task", row.task}, {"score", row.score}, {"group", row.group}};
  json["length"] = row.length_tokens > 0 ? OrderedJson(row.length_tokens) : OrderedJson(nullptr);
  json["models"] = OrderedJson::array();
  for (size_t m = 0; m < models.size(); ++m) {
    const ScoreSummary& summary = row.models[m];
    OrderedJson model = {{"model", models[m]}, {"items", summary.num_items}};
    model["value"] = summary.num_items > 0 ? OrderedJson(summary.mean) : OrderedJson(nullptr);
    if (m > 0) model["difference"] = difference_json(summary.difference);
    json["models"].push_back(model);
  }
  return json;
}

}  // namespace

bool is_share(const SuiteRow& row) { return row.score != "nll"; }

std::string value_text(const SuiteRow& row, const ScoreSummary& summary) {
  if (summary.num_items == 0) return "-";
  return is_share(row) ? fmt::format("{:.1f}%", 100 * summary.mean)
                       : fmt::format("{:.3f}", summary.mean);
}

std::vector<SuiteRow> suite_rows(const std::vector<TaskResults>& results) {
  std::vector<SuiteRow> rows;
  for (const TaskResults& task : results) {
    for (const std::string& score : task.task.scores) rows.push_back(row_of(task, score));
  }
  for (SuiteRow& average : averages_of(results)) rows.push_back(std::move(average));
  return rows;
}

int64_t num_truncated(const TaskResults& task, size_t model) {
  const Items& items = task.models.at(model);
  return std::count_if(items.begin(), items.end(),
                       [](const auto& item) { return item && item->truncated; });
}

std::vector<std::vector<std::string>> suite_table(const std::vector<TaskResults>& results,
                                                  const std::vector<std::string>& models) {
  std::vector<std::vector<std::string>> table = {{"task", "score", "items"}};
  for (const std::string& model : models) table[0].push_back(model);
  for (const SuiteRow& row : suite_rows(results)) {
    std::vector<std::string> cells = {row.task, row.score,
                                      format_count(row.models.front().num_items)};
    for (size_t m = 0; m < models.size(); ++m) {
      cells.push_back(m == 0 ? value_text(row, row.models[m]) : compared_text(row, row.models[m]));
    }
    table.push_back(std::move(cells));
  }
  return table;
}

std::string suite_notes(const std::vector<TaskResults>& results,
                        const std::vector<std::string>& models) {
  std::string truncated, unscored, unfinished;
  for (const TaskResults& task : results) {
    const std::string label = task.task.label();
    for (size_t m = 0; m < models.size(); ++m) {
      const int64_t cut = num_truncated(task, m), done = num_finished(task.models.at(m));
      if (cut > 0) {
        truncated += fmt::format("truncated to the context of {}: {} of {}\n", models[m],
                                 format_count(cut, "item"), label);
      }
      if (task.task.scores.empty()) {
        unscored += fmt::format("without a score, replies kept: {} of {} by {}\n",
                                format_count(done, "item"), label, models[m]);
      }
      if (done < task.task.num_items) {
        unfinished += fmt::format("not finished by {}: {} of {}\n", models[m],
                                  format_count(task.task.num_items - done, "item"), label);
      }
    }
  }
  return truncated + unscored + unfinished;
}

OrderedJson suite_json(const std::vector<TaskResults>& results,
                       const std::vector<std::string>& models, const OrderedJson& settings) {
  OrderedJson rows = OrderedJson::array(), averages = OrderedJson::array();
  for (const SuiteRow& row : suite_rows(results)) {
    (row.is_average ? averages : rows).push_back(row_json(row, models));
  }
  OrderedJson tasks = OrderedJson::array();
  for (const TaskResults& task : results) {
    OrderedJson truncated = OrderedJson::object();
    for (size_t m = 0; m < models.size(); ++m) truncated[models[m]] = num_truncated(task, m);
    tasks.push_back({{"task", task.task.label()},
                     {"group", task.task.group},
                     {"items", task.task.num_items},
                     {"truncated", truncated},
                     {"settings", task.task.settings}});
  }
  return {{"format", "longgen suite results"},
          {"version", 1},
          {"models", models},
          {"settings", settings},
          {"tasks", tasks},
          {"rows", rows},
          {"averages", averages}};
}

}  // namespace longgen
