#include "longgen/eval/perplexity_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/eval/perplexity_text.h"
#include "longgen/report/svg_chart.h"
#include "longgen/report/svg_text.h"

namespace longgen {
namespace {

using Models = std::vector<ModelPerplexity>;

PageCell figure(const NllSummary& summary) {
  if (summary.num_tokens == 0) return {"–"};
  PageCell cell{figure_text(summary.perplexity, 3)};
  if (const auto& interval = summary.perplexity_interval) {
    cell.note = figure_text(interval->low, 3) + " to " + figure_text(interval->high, 3);
  }
  return cell;
}

PageCell figure(const PairedDifference& difference) {
  if (difference.num_items == 0) return {"–"};
  return {signed_text(difference.mean, 2) + "%", interval_text(difference.interval, 2)};
}

ChartPoint point_of(int64_t place, const NllSummary& summary) {
  const bool measured = summary.num_tokens > 0;
  return {static_cast<double>(place), measured ? summary.perplexity : std::nan(""),
          summary.perplexity_interval};
}

ChartPoint point_of(int64_t place, const PairedDifference& difference) {
  return {static_cast<double>(place), difference.num_items > 0 ? difference.mean : std::nan(""),
          difference.interval};
}

bool has_points(const std::vector<ChartSeries>& series) {
  for (const ChartSeries& one : series) {
    for (const ChartPoint& point : one.points) {
      if (std::isfinite(point.y)) return true;
    }
  }
  return false;
}

/// Makes a line for each model from `first_model` on, of what `value(model, i)` says of place i.
template <typename Value>
std::vector<ChartSeries> series_of(const Models& models, size_t first_model,
                                   const std::vector<int64_t>& places, const Value& value) {
  std::vector<ChartSeries> all;
  for (size_t m = first_model; m < models.size(); ++m) {
    ChartSeries series{models[m].name, {}};
    for (size_t i = 0; i < places.size(); ++i) {
      series.points.push_back(point_of(places[i], value(models[m], i)));
    }
    all.push_back(std::move(series));
  }
  return all;
}

/// Draws differences, if there are any. Models keep the colours that they have beside the first.
void add_difference_chart(const std::string& caption, const std::string& x_label,
                          const std::vector<ChartSeries>& series, size_t first_color,
                          PageSection& section) {
  if (!has_points(series)) return;
  section.parts.emplace_back(PageChart{caption, svg_chart(LineChart{.title = caption,
                                                                    .x_label = x_label,
                                                                    .y_label = "difference",
                                                                    .series = series,
                                                                    .is_difference = true,
                                                                    .unit = "%",
                                                                    .first_color = first_color})});
}

std::vector<std::string> columns_of(const std::string& place, const Models& models) {
  std::vector<std::string> columns = {place};
  for (size_t m = 0; m < models.size(); ++m) {
    columns.push_back(models[m].name);
    if (m > 0) columns.push_back("against " + models.front().name);
  }
  return columns;
}

NllSummary summary_at(const ModelPerplexity& model, int64_t bucket) {
  return bucket < model.buckets.num_buckets() ? model.buckets.bucket(bucket) : BucketSummary();
}

PageTable position_table(const Models& models) {
  const ModelPerplexity& first = models.front();
  PageTable table{"Perplexity by position", columns_of("position", models), {}, true};
  const int64_t num_buckets = first.buckets.num_buckets();
  for (int64_t i = 0; i <= num_buckets; ++i) {
    const bool all = i == num_buckets;
    const auto edge = static_cast<size_t>(i);
    std::vector<PageCell> row = {
        {all ? "all" : range_name(first.buckets.edges()[edge], first.buckets.edges()[edge + 1])}};
    for (const ModelPerplexity& model : models) {
      row.push_back(figure(all ? model.buckets.overall() : summary_at(model, i)));
      if (&model == &first) continue;
      row.push_back(
          figure(all ? overall_difference(first, model) : bucket_difference(first, model, i)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

PageSection position_section(const Models& models) {
  PageSection section{"By position in the document", {}};
  std::vector<ChartSeries> lines;
  for (const ModelPerplexity& model : models) {
    ChartSeries series{model.name, {}};
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      const BucketSummary bucket = model.buckets.bucket(i);
      series.points.push_back(point_of(bucket.end, bucket));
      // The bands of several models would lie on each other and hide how sure the difference is.
      if (models.size() > 1) series.points.back().interval.reset();
    }
    lines.push_back(std::move(series));
  }
  const std::string x_label = "position in the document (tokens, end of the bucket)";
  const std::string caption = "Perplexity; lower is better";
  section.parts.emplace_back(PageChart{caption, svg_chart(LineChart{.title = caption,
                                                                    .x_label = x_label,
                                                                    .y_label = "perplexity",
                                                                    .series = lines,
                                                                    .digits = 3})});
  const std::vector<int64_t>& edges = models.front().buckets.edges();
  const std::vector<int64_t> ends(edges.begin() + 1, edges.end());
  add_difference_chart("Difference to " + models.front().name + " on the same documents", x_label,
                       series_of(models, 1, ends,
                                 [&](const ModelPerplexity& model, size_t i) {
                                   return bucket_difference(models.front(), model,
                                                            static_cast<int64_t>(i));
                                 }),
                       1, section);
  section.parts.emplace_back(position_table(models));
  std::string note =
      "Bands, and smaller figures, are 95% intervals over documents. Those of a perplexity say how "
      "far it would move with other documents.";
  if (models.size() > 1) {
    note +=
        " All models read the same ones, so a difference is far surer than either figure: where "
        "its interval leaves out 0, the models differ.";
  }
  section.parts.emplace_back(PageText{note});
  return section;
}

NllSummary context_at(const ModelPerplexity& model, size_t i) {
  return i < model.contexts.size() ? summarize(model.contexts[i].documents) : NllSummary();
}

PairedDifference change_at(const ModelPerplexity& model, size_t i) {
  return i < model.contexts.size() ? context_change(model, i) : PairedDifference();
}

PageTable context_table(const Models& models, const std::vector<int64_t>& places) {
  PageTable table{"Perplexity by context", columns_of("context", models), {}};
  for (size_t i = 0; i < places.size(); ++i) {
    std::vector<PageCell> row = {{format_count(places[i])}};
    for (const ModelPerplexity& model : models) {
      row.push_back(figure(context_at(model, i)));
      if (&model == &models.front()) continue;
      row.push_back(figure(context_difference(models.front(), model, i)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

PageTable change_table(const Models& models, const std::vector<int64_t>& places,
                       const std::string& shortest) {
  PageTable table{"Change from a context of " + shortest, {"context"}, {}};
  for (const ModelPerplexity& model : models) table.columns.push_back(model.name);
  for (size_t i = 1; i < places.size(); ++i) {
    std::vector<PageCell> row = {{format_count(places[i])}};
    for (const ModelPerplexity& model : models) row.push_back(figure(change_at(model, i)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

PageSection context_section(const Models& models) {
  const ModelPerplexity& first = models.front();
  PageSection section{"What context buys", {}};
  const NllSummary summary = summarize(first.contexts.front().documents);
  section.parts.emplace_back(PageText{fmt::format(
      "The last {} of each document, predicted from ever more of the text before them: the same "
      "tokens in every row.",
      format_count(summary.num_tokens / summary.num_documents, "token"))});
  std::vector<int64_t> places;
  for (const ContextNll& context : first.contexts) places.push_back(context.context_tokens);
  const std::string shortest = format_count(places.front(), "token");
  const std::string caption = "Change of perplexity from a context of " + shortest;
  add_difference_chart(caption, "context (tokens)", series_of(models, 0, places, change_at), 0,
                       section);
  section.parts.emplace_back(context_table(models, places));
  section.parts.emplace_back(change_table(models, places, shortest));
  return section;
}

std::string summary_of(const Models& models) {
  const ModelPerplexity& first = models.front();
  const BucketSummary overall = first.buckets.overall();
  std::string text = fmt::format(
      "{} has a perplexity of {} on {} of {}.", first.name, figure_text(overall.perplexity, 3),
      format_count(overall.num_tokens, "token"), format_count(overall.num_documents, "document"));
  for (size_t m = 1; m < models.size(); ++m) {
    const PairedDifference difference = overall_difference(first, models[m]);
    if (difference.num_items == 0) {
      text += " " + models[m].name +
              (models[m].reads_same_tokens ? " has no document to compare."
                                           : " reads other tokens and is not compared.");
      continue;
    }
    text += fmt::format(" {} is {:.2f}% {}", models[m].name, std::abs(difference.mean),
                        difference.mean < 0 ? "lower" : "higher");
    text += difference.interval ? " (95% interval " + interval_text(difference.interval, 2) + ")."
                                : ", without an interval.";
  }
  std::string stopped = stopped_text(models);
  std::replace(stopped.begin(), stopped.end(), '\n', ' ');
  return stopped.empty() ? text : text + " " + stopped;
}

}  // namespace

ReportPage perplexity_page(const std::vector<ModelPerplexity>& models) {
  LG_CHECK(!models.empty(), "[report] expected at least one model, found none.");
  ReportPage page{"Perplexity of", summary_of(models), {position_section(models)}, {}};
  for (size_t m = 0; m < models.size(); ++m) {
    page.title += (m == 0 ? " " : m + 1 == models.size() ? " and " : ", ") + models[m].name;
  }
  if (!models.front().contexts.empty()) page.sections.push_back(context_section(models));
  return page;
}

}  // namespace longgen
