#include "longgen/eval/perplexity_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/report/gnuplot.h"

namespace longgen {
namespace {

// These are Okabe and Ito's colours, which people with colour-blindness can tell apart; the lines
// differ in their marks too. (Their yellow is too light for a line on white.)
constexpr std::array kColors = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                "#E69F00", "#56B4E9", "#000000"};
constexpr std::array kMarks = {7, 5, 9, 11, 13, 6, 4};  // gnuplot's point types

constexpr double kLogRatio = 5;  // beyond this, the lower lines would be flat on a linear axis
constexpr int64_t kMaxNameChars = 60;

constexpr const char* kIntervalNote =
    "95% interval of the mean over documents: normal approximation, 1.96 standard errors, each "
    "document one draw; null for fewer than two documents";

OrderedJson json_interval(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return OrderedJson::array({json_number(interval->low), json_number(interval->high)});
}

OrderedJson json_summary(const BucketSummary& summary) {
  const bool measured = summary.num_tokens > 0;
  OrderedJson json;
  json["begin"] = summary.begin;
  json["end"] = summary.end;
  json["tokens"] = summary.num_tokens;
  json["documents"] = summary.num_documents;
  json["mean_nll"] = measured ? json_number(summary.mean_nll) : nullptr;
  json["mean_nll_interval"] = json_interval(summary.mean_nll_interval);
  json["perplexity"] = measured ? json_number(summary.perplexity) : nullptr;
  json["perplexity_interval"] = json_interval(summary.perplexity_interval);
  return json;
}

Table report_table(const std::vector<ModelPerplexity>& models) {
  Table table;
  table.columns = {
      "model",        "begin",         "end",        "tokens",         "documents",      "mean_nll",
      "mean_nll_low", "mean_nll_high", "perplexity", "perplexity_low", "perplexity_high"};
  const auto ends = [](const std::optional<Interval>& interval) {
    return interval ? std::array{format_number(interval->low), format_number(interval->high)}
                    : std::array<std::string, 2>{};
  };
  for (const ModelPerplexity& model : models) {
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      const BucketSummary bucket = model.buckets.bucket(i);
      const auto nll = ends(bucket.mean_nll_interval), ppl = ends(bucket.perplexity_interval);
      const bool measured = bucket.num_tokens > 0;
      table.rows.push_back({model.name, std::to_string(bucket.begin), std::to_string(bucket.end),
                            std::to_string(bucket.num_tokens), std::to_string(bucket.num_documents),
                            measured ? format_number(bucket.mean_nll) : "", nll[0], nll[1],
                            measured ? format_number(bucket.perplexity) : "", ppl[0], ppl[1]});
    }
  }
  return table;
}

/// What is drawn of one model: its buckets that have a finite perplexity.
struct Line {
  std::string name;
  std::vector<BucketSummary> points;
};

std::vector<Line> lines_of(const std::vector<ModelPerplexity>& models) {
  std::vector<Line> lines;
  for (const ModelPerplexity& model : models) {
    Line line{model.name, {}};
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      const BucketSummary bucket = model.buckets.bucket(i);
      if (bucket.num_tokens > 0 && std::isfinite(bucket.perplexity)) line.points.push_back(bucket);
    }
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

/// Returns the band around a point: none with one document, and none that no axis could show.
std::optional<Interval> band_of(const BucketSummary& point) {
  const auto& interval = point.perplexity_interval;
  const bool shown = interval && interval->low > 0 && std::isfinite(interval->high);
  return shown ? interval : std::nullopt;
}

bool has_band(const Line& line) {
  return std::any_of(line.points.begin(), line.points.end(),
                     [](const BucketSummary& point) { return band_of(point).has_value(); });
}

/// Writes one block a line; a block is what gnuplot calls an index. NaN leaves a gap in a band.
std::string data_of(const std::vector<Line>& lines) {
  std::string data = "# begin end perplexity low high\n";
  for (const Line& line : lines) {
    for (const BucketSummary& point : line.points) {
      const auto band = band_of(point);
      data += fmt::format("{} {} {:.6g} {}\n", point.begin, point.end, point.perplexity,
                          band ? fmt::format("{:.6g} {:.6g}", band->low, band->high) : "NaN NaN");
    }
    data += "\n\n";
  }
  return data;
}

struct Bounds {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// Marks powers of two, or where the buckets end when fewer than two of those are in view.
std::string x_tics(const std::vector<Line>& lines, const Bounds& x) {
  std::vector<int64_t> places;
  for (int64_t place = 1; place <= INT64_MAX / 2 && static_cast<double>(place) <= x.high * 1.001;
       place *= 2) {
    if (static_cast<double>(place) >= x.low * 0.999) places.push_back(place);
  }
  if (places.size() < 2) {
    places.clear();
    for (const BucketSummary& point : lines.front().points) places.push_back(point.end);
  }
  const size_t step = (places.size() + 15) / 16;  // more labels would touch
  std::string tics;
  for (size_t i = 0; i < places.size(); i += step) {
    tics += fmt::format("{}'{}' {}", tics.empty() ? "" : ", ", token_label(places[i]), places[i]);
  }
  return "set xtics (" + tics + ")\n";
}

std::string y_axis(const Bounds& y) {
  if (y.high <= kLogRatio * y.low) {
    const double margin = std::max(0.08 * (y.high - y.low), 0.01 * y.high);
    return fmt::format("set yrange [{:.6g}:{:.6g}]\n", std::max(0.0, y.low - margin),
                       y.high + margin);
  }
  const std::string scale =
      fmt::format("set logscale y\nset yrange [{:.6g}:{:.6g}]\n", y.low / 1.15, y.high * 1.15);
  constexpr double kManyDecades = 1e4;  // there gnuplot's own choice, whole decades, is right
  if (y.high > kManyDecades * y.low) return scale;
  std::string tics;
  for (double decade = std::pow(10, std::floor(std::log10(y.low))); decade <= y.high;
       decade *= 10) {
    for (const double digit : {1, 2, 5}) {
      tics += fmt::format("{}{:.6g}", tics.empty() ? "" : ", ", decade * digit);
    }
  }
  return scale + "set ytics (" + tics + ")\n";
}

std::string plot_command(const std::string& name, const std::vector<Line>& lines) {
  std::string bands, drawn;
  for (size_t i = 0; i < lines.size(); ++i) {
    const char* const color = kColors[i % kColors.size()];
    if (has_band(lines[i])) {
      bands += fmt::format(
          "'{}.dat' index {} using 2:4:5 with filledcurves fill transparent solid 0.09 noborder "
          "lc rgb '{}' notitle, \\\n     ",
          name, i, color);
    }
    drawn += fmt::format(
        "{}'{}.dat' index {} using 2:3 with linespoints lw 2.5 ps 0.9 pt {} dt {} lc rgb '{}' "
        "title {}",
        i == 0 ? "" : ", \\\n     ", name, i, kMarks[i % kMarks.size()], 1 + i / kColors.size() % 4,
        color, gnuplot_string(lines[i].name, kMaxNameChars));
  }
  return "plot " + bands + drawn + "\n";
}

struct Legend {
  std::string commands;
  int64_t height;  // pixels
};

/// Places the legend below the picture, in as many columns as the longest name leaves room for.
Legend legend_of(const std::vector<Line>& lines) {
  size_t longest = 0;
  for (const Line& line : lines) longest = std::max(longest, line.name.size());
  const int64_t columns = longest <= 22 ? 3 : longest <= 40 ? 2 : 1;
  const int64_t rows = (static_cast<int64_t>(lines.size()) + columns - 1) / columns;
  constexpr int64_t kRowHeight = 22;
  return {fmt::format("set bmargin {:.1f}\n"
                      "set key at screen 0.5,screen 0.02 center bottom vertical maxrows {} Left "
                      "reverse noenhanced samplen 2.5 spacing 1.15\n",
                      4 + 1.25 * static_cast<double>(rows), rows),
          kRowHeight * rows};
}

std::string script_of(const std::string& name, const std::vector<Line>& lines) {
  Bounds x, y;
  int64_t num_documents = 0;
  for (const Line& line : lines) {
    for (const BucketSummary& point : line.points) {
      x.include(static_cast<double>(point.end));
      y.include(point.perplexity);
      if (const auto band = band_of(point)) {
        y.include(band->low);
        y.include(band->high);
      }
      num_documents = std::max(num_documents, point.num_documents);
    }
  }
  const bool any_band = std::any_of(lines.begin(), lines.end(), has_band);
  const std::string title = fmt::format("Perplexity against position ({} document{}{})",
                                        num_documents, num_documents == 1 ? "" : "s",
                                        any_band ? "; bands: 95% of the mean over documents" : "");
  const Legend legend = legend_of(lines);
  const std::string body = fmt::format(
      "set title {} noenhanced\n"
      "set xlabel 'position in the document (tokens, end of the bucket)'\n"
      "set ylabel 'perplexity'\n"
      "set logscale x 2\n"
      "set xrange [{:.6g}:{:.6g}]\n"
      "{}{}"
      "set grid lc rgb '#D0D0D0' lt 1 lw 0.7\n"
      "set border 3 lc rgb '#606060'\n"
      "set tics nomirror scale 0.6 textcolor rgb '#000000'\n"
      "{}"
      "{}",
      gnuplot_string(title, 200), x.low / 1.12, x.high * 1.12, x_tics(lines, x), y_axis(y),
      legend.commands, plot_command(name, lines));
  return gnuplot_script(name, 960, 500 + legend.height, body);
}

}  // namespace

OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models,
                            const OrderedJson& settings) {
  OrderedJson json;
  json["report"] = "perplexity by position";
  json["settings"] = settings;
  json["unit"] = "mean_nll in nats a token; positions in tokens from the document's start";
  json["interval"] = kIntervalNote;
  json["models"] = OrderedJson::array();
  for (const ModelPerplexity& model : models) {
    OrderedJson entry;
    entry["model"] = model.name;
    entry["overall"] = json_summary(model.buckets.overall());
    entry["buckets"] = OrderedJson::array();
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      entry["buckets"].push_back(json_summary(model.buckets.bucket(i)));
    }
    json["models"].push_back(std::move(entry));
  }
  return json;
}

ReportFiles write_perplexity_report(const std::vector<ModelPerplexity>& models,
                                    const ReportOptions& options) {
  check_report_name(options.name);
  LG_CHECK(!models.empty(), "[report] expected at least one model, found none.");
  const std::vector<Line> lines = lines_of(models);
  LG_CHECK(!lines.empty(),
           "[report] expected a token in at least one bucket of one model, found none. Call "
           "end_document() after each document.");
  return write_report({perplexity_json(models, options.settings), report_table(models),
                       data_of(lines), script_of(options.name, lines)},
                      options);
}

}  // namespace longgen
