#include "longgen/eval/suite/suite_page.h"

#include <algorithm>
#include <utility>

#include "longgen/base/units.h"
#include "longgen/report/svg_chart.h"

namespace longgen {
namespace {

using Models = std::vector<std::string>;
using Rows = std::vector<SuiteRow>;

PageCell difference_cell(const SuiteRow& row, const PairedDifference& difference) {
  if (difference.num_items == 0) return {"–"};
  const double scale = is_share(row) ? 100 : 1;
  const int digits = is_share(row) ? 1 : 3;
  return {signed_text(scale * difference.mean, digits) + (is_share(row) ? " points" : " nats"),
          interval_text(difference.interval, digits, scale)};
}

std::string row_name(const SuiteRow& row) {
  return row.is_average ? row.task + ", average" : row.task + ", " + row.score;
}

PageTable table_of(const Rows& rows, const Models& models) {
  PageTable table{"Scores, and differences to " + models.front(), {"task", "items"}, {}};
  if (models.size() == 1) table.caption = "Scores";
  for (size_t m = 0; m < models.size(); ++m) {
    table.columns.push_back(models[m]);
    if (m > 0) table.columns.push_back("against " + models.front());
  }
  for (const SuiteRow& row : rows) {
    std::vector<PageCell> cells = {{row_name(row)}, {format_count(row.models.front().num_items)}};
    for (size_t m = 0; m < models.size(); ++m) {
      const ScoreSummary& summary = row.models[m];
      cells.push_back({summary.num_items == 0 ? "–" : value_text(row, summary)});
      if (m > 0) cells.push_back(difference_cell(row, row.models[m].difference));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

/// The rows that stand for a length in a chart: averages, or the first score of a task alone.
Rows rows_by_length(const Rows& rows) {
  Rows lengths;
  for (const SuiteRow& row : rows) {
    if (row.is_average && row.length_tokens > 0) lengths.push_back(row);
  }
  std::sort(lengths.begin(), lengths.end(),
            [](const SuiteRow& a, const SuiteRow& b) { return a.length_tokens < b.length_tokens; });
  return lengths;
}

PageChart chart_of(const Rows& lengths, const Models& models) {
  LineChart chart{.title = "Average of the tasks, by length",
                  .x_label = "length of the prompt with the reply (tokens)",
                  .y_label = "score",
                  .series = {},
                  .digits = 1,
                  .unit = "%",
                  .from_zero_to = 100};
  for (size_t m = 0; m < models.size(); ++m) {
    ChartSeries series{models[m], {}};
    for (const SuiteRow& row : lengths) {
      series.points.push_back(
          {static_cast<double>(row.length_tokens), 100 * row.models[m].mean, std::nullopt});
    }
    chart.series.push_back(std::move(series));
  }
  return {chart.title, svg_chart(chart)};
}

std::string title_of(const std::string& group) {
  constexpr std::pair<const char*, const char*> kTitles[] = {{"ruler", "RULER"},
                                                             {"babilong", "BABILong"},
                                                             {"short", "Short tasks"},
                                                             {"jsonl", "Items of your own"}};
  for (const auto& [name, title] : kTitles) {
    if (group == name) return title;
  }
  return group;
}

/// What the averages say, or without one the first score of all.
std::string summary_of(const Rows& rows, const Models& models) {
  std::string text;
  const bool has_average =
      std::any_of(rows.begin(), rows.end(), [](const SuiteRow& row) { return row.is_average; });
  for (const SuiteRow& row : rows) {
    if (has_average ? !row.is_average : &row != &rows.front()) continue;
    text += row_name(row) + ": " + models.front() + " " + value_text(row, row.models.front());
    for (size_t m = 1; m < models.size(); ++m) {
      const PageCell cell = difference_cell(row, row.models[m].difference);
      text += ", " + models[m] + " " + cell.text;
      if (!cell.note.empty()) text += " (95% interval " + cell.note + ")";
    }
    text += ". ";
  }
  return text;
}

}  // namespace

ReportPage suite_page(const std::vector<TaskResults>& results, const Models& models) {
  const Rows rows = suite_rows(results);
  ReportPage page{"Suite of tasks:", summary_of(rows, models), {}, {}};
  for (const std::string& model : models) {
    page.title += (&model == &models.front() ? " " : ", ") + model;
  }
  std::vector<std::string> groups;
  for (const TaskResults& task : results) {
    if (std::find(groups.begin(), groups.end(), task.task.group) == groups.end()) {
      groups.push_back(task.task.group);
    }
  }
  for (const std::string& group : groups) {
    Rows of_group;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(of_group),
                 [&](const SuiteRow& row) { return row.group == group; });
    if (of_group.empty()) continue;
    PageSection section{title_of(group), {}};
    const Rows lengths = rows_by_length(of_group);
    if (lengths.size() > 1) section.parts.push_back(chart_of(lengths, models));
    section.parts.push_back(table_of(of_group, models));
    page.sections.push_back(std::move(section));
  }
  PageSection notes{"How to read it", {}};
  notes.parts.push_back(
      PageText{"All models had the same items. Smaller figures are 95% intervals over items of the "
               "differences: Bonett and Price's where scores are 0 or 1, else Student's."});
  const std::string more = suite_notes(results, models);
  for (size_t at = 0; at < more.size();) {
    const size_t end = more.find('\n', at);
    notes.parts.push_back(PageText{more.substr(at, end - at)});
    at = end + 1;
  }
  page.sections.push_back(std::move(notes));
  return page;
}

}  // namespace longgen
