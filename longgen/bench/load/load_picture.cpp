#include <fmt/format.h>

#include <algorithm>

#include "longgen/bench/load/load_report.h"
#include "longgen/report/gnuplot.h"
#include "longgen/report/svg_chart.h"

namespace longgen {
namespace {

constexpr const char* kTitle = "How long, of the slowest";
constexpr const char* kXLabel = "one in so many is as slow";
constexpr const char* kYLabel = "milliseconds";

/// The time that one in 2, 4, 8, ... reaches, and the worst.
ChartSeries tail_of(const std::string& name, std::vector<double> seconds) {
  ChartSeries series{name, {}};
  std::sort(seconds.begin(), seconds.end());
  const auto count = static_cast<double>(seconds.size());
  for (double one_in = 2; one_in < count; one_in *= 2) {
    series.points.push_back({one_in, 1000 * quantile(seconds, 1 - 1 / one_in), {}});
  }
  if (count >= 2) series.points.push_back({count, 1000 * seconds.back(), {}});
  return series;
}

std::vector<ChartSeries> tails_of(const LoadReport& report) {
  std::vector<RequestRecord> whole;
  std::vector<double> first;
  for (const RequestRecord& record : report.records) {
    if (!record.is_whole()) continue;
    whole.push_back(record);
    if (const auto seconds = record.first_token_seconds()) first.push_back(*seconds);
  }
  return {tail_of("first token", std::move(first)), tail_of("gap", gaps_of(whole))};
}

std::string data_of(const std::vector<ChartSeries>& tails) {
  std::string data;
  for (const ChartSeries& series : tails) {
    data += "# " + series.name + ": one in, milliseconds\n";
    for (const ChartPoint& point : series.points) {
      data += fmt::format("{:.6g} {:.6g}\n", point.x, point.y);
    }
    data += "\n\n";  // the next block of gnuplot's
  }
  return data;
}

std::string script_of(const std::string& name, const std::vector<ChartSeries>& tails) {
  std::string plots;
  for (size_t i = 0; i < tails.size(); ++i) {
    if (tails[i].points.empty()) continue;
    plots += fmt::format("{}'{}.dat' index {} using 1:2 with linespoints lw 2 title '{}'",
                         plots.empty() ? "" : ", ", name, i, tails[i].name);
  }
  return gnuplot_script(name, 900, 560,
                        fmt::format("set logscale xy\nset grid\nset key top left\nset xlabel '{}'\n"
                                    "set ylabel '{}'\nplot {}\n",
                                    kXLabel, kYLabel, plots.empty() ? "NaN notitle" : plots));
}

}  // namespace

std::optional<PageChart> times_chart(const LoadReport& report) {
  LineChart chart{.title = kTitle,
                  .x_label = kXLabel,
                  .y_label = kYLabel,
                  .series = tails_of(report),
                  .digits = 1,
                  .unit = " ms"};
  const bool is_empty = std::all_of(chart.series.begin(), chart.series.end(),
                                    [](const auto& series) { return series.points.empty(); });
  if (is_empty) return std::nullopt;
  return PageChart{chart.title, svg_chart(chart)};
}

ReportFiles write_load_report(const LoadReport& report, const ReportOptions& options) {
  check_report_name(options.name);
  const std::vector<ChartSeries> tails = tails_of(report);
  return write_report(
      {to_json(report), to_table(report), data_of(tails), script_of(options.name, tails)}, options);
}

}  // namespace longgen
