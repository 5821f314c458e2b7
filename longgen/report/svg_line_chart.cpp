#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/report/paired.h"
#include "longgen/report/report_files.h"
#include "longgen/report/svg_chart.h"
#include "longgen/report/svg_plot.h"
#include "longgen/report/svg_text.h"

namespace longgen {
namespace {

constexpr double kWidth = 760, kHeight = 340;
constexpr double kLineHeight = 16;     // of the names at the lines' ends
constexpr int64_t kMaxNameChars = 26;  // the whole name is in the tips
constexpr size_t kNumColors = 7, kNumMarks = 4;
constexpr double kLogRatio = 5;  // beyond this, the lower lines would be flat on a linear axis

/// The range of values, from nothing on.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

bool is_finite(const Interval& interval) {
  return std::isfinite(interval.low) && std::isfinite(interval.high);
}

/// Returns what can be drawn: finite points, and of their intervals those that are finite.
std::vector<ChartSeries> drawable(const LineChart& chart) {
  std::vector<ChartSeries> all;
  for (const ChartSeries& series : chart.series) {
    ChartSeries kept{series.name, {}};
    for (ChartPoint point : series.points) {
      LG_CHECK(point.x > 0 && std::isfinite(point.x), "[svg_chart] expected x above 0, found ",
               point.x, ".");
      if (!std::isfinite(point.y)) continue;
      if (point.interval && !is_finite(*point.interval)) point.interval.reset();
      kept.points.push_back(point);
    }
    all.push_back(std::move(kept));  // an empty one keeps its colour
  }
  return all;
}

/// A line chart while it is drawn.
class LinePlot {
 public:
  LinePlot(const LineChart& chart, std::vector<ChartSeries> series)
      : chart_(chart), series_(std::move(series)) {
    measure();
    double widest = 0;
    size_t num_names = 0;
    for (const ChartSeries& one : series_) {
      if (one.points.empty()) continue;
      widest = std::max(widest, label_width(shortened(one.name, kMaxNameChars)));
      ++num_names;
    }
    const double names_height = kLineHeight * static_cast<double>(num_names);
    area_ = {.left = 72,
             .top = 14,
             .width = kWidth - 72 - widest - 34,
             .height = std::max(kHeight - 64, names_height)};
    make_axes();
  }

  std::string draw() const {
    std::string svg = open_svg(kWidth, area_.bottom() + 50, chart_.title);
    svg += draw_y();
    svg += draw_x();
    for (size_t i = 0; i < series_.size(); ++i) svg += draw_band(i);
    for (size_t i = 0; i < series_.size(); ++i) svg += draw_line(i);
    return svg + draw_names() + "</svg>\n";
  }

 private:
  void measure() {
    for (const ChartSeries& series : series_) {
      for (const ChartPoint& point : series.points) {
        x_range_.include(point.x);
        y_range_.include(point.y);
        if (!point.interval) continue;
        y_range_.include(point.interval->low);
        y_range_.include(point.interval->high);
      }
    }
    LG_CHECK(x_range_.low <= x_range_.high, "[svg_chart] expected a finite point, found none.");
    if (chart_.is_difference || chart_.from_zero_to) y_range_.include(0);
    if (chart_.from_zero_to) y_range_.include(*chart_.from_zero_to);
  }

  void make_axes() {
    x_ = {.low = x_range_.low / 1.12,
          .high = x_range_.high * 1.12,
          .first_pixel = area_.left,
          .last_pixel = area_.right(),
          .is_logarithmic = true};
    y_ = {.first_pixel = area_.bottom(), .last_pixel = area_.top};
    y_.is_logarithmic =
        !chart_.is_difference && y_range_.low > 0 && y_range_.high > kLogRatio * y_range_.low;
    if (y_.is_logarithmic) {
      y_.low = y_range_.low / 1.15;
      y_.high = std::min(y_range_.high * 1.15, std::numeric_limits<double>::max());
      return;
    }
    double margin = 0.08 * (y_range_.high - y_range_.low);
    // A level line stands in the middle.
    if (margin <= 1e-9 * std::abs(y_range_.high)) margin = 0.05 * std::abs(y_range_.high);
    if (margin == 0) margin = 1;
    y_.low = y_range_.low - margin;
    y_.high = y_range_.high + margin;
    if (!chart_.is_difference && y_range_.low >= 0) y_.low = std::max(0.0, y_.low);
  }

  std::string number(double value) const {
    return (chart_.is_difference ? signed_text(value, chart_.digits)
                                 : figure_text(value, chart_.digits)) +
           chart_.unit;
  }

  std::string draw_y() const {
    const std::vector<double> ticks =
        y_.is_logarithmic ? logarithmic_ticks(y_.low, y_.high) : round_ticks(y_.low, y_.high, 5);
    std::vector<std::string> labels = tick_labels(ticks);
    for (size_t i = 0; i < ticks.size(); ++i) {
      if (chart_.is_difference && ticks[i] > 0) labels[i] = "+" + labels[i];
      labels[i] += chart_.unit;
    }
    std::string drawn = draw_y_axis(area_, y_, ticks, labels, chart_.y_label);
    if (chart_.is_difference) {
      drawn += svg_line(area_.left, y_.pixel(0), area_.right(), y_.pixel(0), "zero");
    }
    return drawn;
  }

  /// Marks powers of two, or the points where fewer than two of those are in view.
  std::vector<double> x_ticks() const {
    std::vector<double> ticks;
    for (double x = 1; x <= x_range_.high * 1.001; x *= 2) {
      if (x >= x_range_.low * 0.999) ticks.push_back(x);
    }
    if (ticks.size() >= 2) return ticks;
    ticks.clear();
    for (const ChartSeries& series : series_) {
      for (const ChartPoint& point : series.points) ticks.push_back(point.x);
    }
    std::sort(ticks.begin(), ticks.end());
    ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
    return ticks;
  }

  std::string draw_x() const {
    std::string drawn = svg_line(area_.left, area_.bottom(), area_.right(), area_.bottom(), "axis");
    double free_from = 0;  // where the last label ended
    for (const double tick : x_ticks()) {
      const double x = x_.pixel(tick);
      const std::string label = token_label(static_cast<int64_t>(std::llround(tick)));
      const double half = label_width(label) / 2;
      if (x - half < free_from) continue;
      free_from = x + half + 6;
      drawn += svg_line(x, area_.bottom(), x, area_.bottom() + 4, "axis");
      drawn += svg_text(x, area_.bottom() + 18, "middle", "tick", label);
    }
    return drawn + svg_text(area_.left + area_.width / 2, area_.bottom() + 40, "middle", "label",
                            chart_.x_label);
  }

  std::string color_of(size_t i) const {
    return fmt::format("s{}", (chart_.first_color + i) % kNumColors);
  }

  /// Draws the intervals of neighbouring points as one area, that of a lonely point as a line.
  std::string draw_band(size_t i) const {
    const std::vector<ChartPoint>& points = series_[i].points;
    std::string drawn;
    for (size_t begin = 0; begin < points.size(); ++begin) {
      if (!points[begin].interval) continue;
      size_t end = begin;
      while (end < points.size() && points[end].interval) ++end;
      drawn += draw_area(i, begin, end);
      begin = end;
    }
    return drawn;
  }

  /// Draws the intervals of the points [begin, end).
  std::string draw_area(size_t i, size_t begin, size_t end) const {
    const std::vector<ChartPoint>& points = series_[i].points;
    const auto y_of = [this](double value) {
      return y_.pixel(y_.is_logarithmic ? std::max(value, y_.low) : value);
    };
    if (end - begin == 1) {
      const double x = x_.pixel(points[begin].x);
      const Interval& interval = *points[begin].interval;
      return svg_line(x, y_of(interval.low), x, y_of(interval.high), "whisker " + color_of(i));
    }
    std::string corners;
    const auto add = [&](double x, double y) {
      corners += (corners.empty() ? "" : " ") + coordinate(x_.pixel(x)) + "," + coordinate(y_of(y));
    };
    for (size_t k = begin; k < end; ++k) add(points[k].x, points[k].interval->high);
    for (size_t k = end; k-- > begin;) add(points[k].x, points[k].interval->low);
    return fmt::format("<polygon class=\"band {}\" points=\"{}\"/>\n", color_of(i), corners);
  }

  std::string draw_line(size_t i) const {
    std::string corners, marks;
    for (const ChartPoint& point : series_[i].points) {
      const double x = x_.pixel(point.x), y = y_.pixel(point.y);
      corners += (corners.empty() ? "" : " ") + coordinate(x) + "," + coordinate(y);
      std::string tip = series_[i].name + ", " +
                        token_label(static_cast<int64_t>(std::llround(point.x))) + ": " +
                        number(point.y);
      if (point.interval) {
        tip += " (" + number(point.interval->low) + " to " + number(point.interval->high) + ")";
      }
      marks += draw_mark(i, x, y, tip);
    }
    if (corners.empty()) return "";
    return fmt::format("<polyline class=\"line {} dash{}\" points=\"{}\"/>\n", color_of(i),
                       (chart_.first_color + i) / kNumColors % 3, corners) +
           marks;
  }

  std::string draw_mark(size_t i, double x, double y, const std::string& tip) const {
    static constexpr const char* kShapes[kNumMarks] = {
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M-3.6 -3.6h7.2v7.2h-7.2z", "M0 -5l4.6 8h-9.2z",
        "M0 -5l4.4 5l-4.4 5l-4.4 -5z"};
    return fmt::format(
        "<path class=\"mark {}\" transform=\"translate({} {})\" d=\"{}\">{}</path>\n", color_of(i),
        coordinate(x), coordinate(y), kShapes[(chart_.first_color + i) % kNumMarks], svg_tip(tip));
  }

  /// Names each line at its end, where names would touch one below the other.
  std::string draw_names() const {
    struct Name {
      size_t series;
      double wanted, y;
    };
    std::vector<Name> names;
    for (size_t i = 0; i < series_.size(); ++i) {
      if (series_[i].points.empty()) continue;
      const double y = y_.pixel(series_[i].points.back().y);
      names.push_back({i, y, y});
    }
    std::stable_sort(names.begin(), names.end(),
                     [](const Name& a, const Name& b) { return a.wanted < b.wanted; });
    double free_from = area_.top;
    for (Name& name : names) {
      name.y = std::max(name.y, free_from);
      free_from = name.y + kLineHeight;
    }
    double free_to = area_.bottom();
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      name->y = std::min(name->y, free_to);
      free_to = name->y - kLineHeight;
    }
    std::string drawn;
    const double x = area_.right() + 18;
    for (const Name& name : names) {
      const ChartSeries& series = series_[name.series];
      const double end = x_.pixel(series.points.back().x);
      drawn += svg_line(end + 6, name.wanted, x - 6, name.y, "leader");
      drawn += draw_mark(name.series, x, name.y, series.name);
      drawn +=
          svg_text(x + 10, name.y + 4, "start", "label", shortened(series.name, kMaxNameChars));
    }
    return drawn;
  }

  const LineChart& chart_;
  std::vector<ChartSeries> series_;
  Range x_range_, y_range_;
  PlotArea area_;
  Axis x_, y_;
};

}  // namespace

std::string svg_chart(const LineChart& chart) { return LinePlot(chart, drawable(chart)).draw(); }

}  // namespace longgen
