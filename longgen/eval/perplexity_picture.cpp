#include "longgen/eval/perplexity_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "longgen/report/gnuplot.h"
#include "longgen/report/report_files.h"

namespace longgen {
namespace {

// These are Okabe and Ito's colours, which people with colour-blindness can tell apart; the lines
// differ in their marks too. (Their yellow is too light for a line on white.)
constexpr std::array kColors = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                "#E69F00", "#56B4E9", "#000000"};
constexpr std::array kMarks = {7, 5, 9, 11, 13, 6, 4};  // gnuplot's point types

constexpr double kLogRatio = 5;  // beyond this, the lower lines would be flat on a linear axis
constexpr int64_t kMaxNameChars = 60;

/// Returns the band around a point: none with one document, and none that no axis could show.
std::optional<Interval> band_of(const BucketSummary& point) {
  const auto& interval = point.perplexity_interval;
  const bool shown = interval && interval->low > 0 && std::isfinite(interval->high);
  return shown ? interval : std::nullopt;
}

bool has_band(const PerplexityLine& line) {
  return std::any_of(line.points.begin(), line.points.end(),
                     [](const BucketSummary& point) { return band_of(point).has_value(); });
}

struct Bounds {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// Marks powers of two, or where the buckets end when fewer than two of those are in view.
std::string x_tics(const std::vector<PerplexityLine>& lines, const Bounds& x) {
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

std::string plot_command(const std::string& name, const std::vector<PerplexityLine>& lines) {
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
Legend legend_of(const std::vector<PerplexityLine>& lines) {
  size_t longest = 0;
  for (const PerplexityLine& line : lines) longest = std::max(longest, line.name.size());
  const int64_t columns = longest <= 22 ? 3 : longest <= 40 ? 2 : 1;
  const int64_t rows = (static_cast<int64_t>(lines.size()) + columns - 1) / columns;
  constexpr int64_t kRowHeight = 22;
  return {fmt::format("set bmargin {:.1f}\n"
                      "set key at screen 0.5,screen 0.02 center bottom vertical maxrows {} Left "
                      "reverse noenhanced samplen 2.5 spacing 1.15\n",
                      4 + 1.25 * static_cast<double>(rows), rows),
          kRowHeight * rows};
}

}  // namespace

std::string perplexity_data(const std::vector<PerplexityLine>& lines) {
  std::string data = "# begin end perplexity low high\n";
  for (const PerplexityLine& line : lines) {
    for (const BucketSummary& point : line.points) {
      const auto band = band_of(point);
      data += fmt::format("{} {} {:.6g} {}\n", point.begin, point.end, point.perplexity,
                          band ? fmt::format("{:.6g} {:.6g}", band->low, band->high) : "NaN NaN");
    }
    data += "\n\n";
  }
  return data;
}

std::string perplexity_script(const std::string& name, const PerplexityPicture& picture) {
  const std::vector<PerplexityLine>& lines = picture.lines;
  Bounds x, y;
  int64_t num_documents = 0;
  for (const PerplexityLine& line : lines) {
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
  const std::string title = fmt::format("{} ({} document{}{})", picture.title, num_documents,
                                        num_documents == 1 ? "" : "s",
                                        any_band ? "; bands: 95% of the mean over documents" : "");
  const Legend legend = legend_of(lines);
  const std::string body = fmt::format(
      "set title {} noenhanced\n"
      "set xlabel '{}'\n"
      "set ylabel 'perplexity'\n"
      "set logscale x 2\n"
      "set xrange [{:.6g}:{:.6g}]\n"
      "{}{}"
      "set grid lc rgb '#D0D0D0' lt 1 lw 0.7\n"
      "set border 3 lc rgb '#606060'\n"
      "set tics nomirror scale 0.6 textcolor rgb '#000000'\n"
      "{}"
      "{}",
      gnuplot_string(title, 200), picture.x_label, x.low / 1.12, x.high * 1.12, x_tics(lines, x),
      y_axis(y), legend.commands, plot_command(name, lines));
  return gnuplot_script(name, 960, 500 + legend.height, body);
}

}  // namespace longgen
