#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/report/svg_chart.h"
#include "longgen/report/svg_plot.h"
#include "longgen/report/svg_text.h"

namespace longgen {
namespace {

constexpr double kLeft = 72, kRight = 16, kPanelHeight = 150, kPanelGap = 26, kLegendHeight = 26;
constexpr double kMinSlot = 20, kMaxSlot = 64, kWidth = 760;  // a slot is a bar with its gap
constexpr int64_t kMaxNameChars = 14;

void check(const BarChart& chart) {
  const size_t n = chart.categories.size();
  LG_CHECK(n > 0 && !chart.measures.empty(),
           "[svg_chart] expected a category and a measure, found ", n, " and ",
           chart.measures.size(), ".");
  LG_CHECK(chart.marked.empty() || chart.marked.size() == n,
           "[svg_chart] marked: expected one entry for each of ", n, " categories, found ",
           chart.marked.size(), ".");
  for (const BarMeasure& measure : chart.measures) {
    LG_CHECK(measure.values.size() == n, "[svg_chart] ", measure.label,
             ": expected a value for each of ", n, " categories, found ", measure.values.size(),
             ".");
  }
}

class BarPlot {
 public:
  explicit BarPlot(const BarChart& chart) : chart_(chart) {
    const auto n = static_cast<double>(chart.categories.size());
    slot_ = std::clamp((kWidth - kLeft - kRight) / n, kMinSlot, kMaxSlot);
    width_ = slot_ * n;
    has_legend_ = std::find(chart.marked.begin(), chart.marked.end(), true) != chart.marked.end() &&
                  !chart.marked_label.empty();
  }

  std::string draw() const {
    const double top = has_legend_ ? kLegendHeight + 8 : 8;
    const auto panels = static_cast<double>(chart_.measures.size());
    const double bottom = top + panels * (kPanelHeight + kPanelGap) - kPanelGap;
    std::string svg = open_svg(kLeft + width_ + kRight, bottom + 48, chart_.title);
    if (has_legend_) svg += draw_legend();
    for (size_t i = 0; i < chart_.measures.size(); ++i) {
      const double y = top + static_cast<double>(i) * (kPanelHeight + kPanelGap);
      svg += draw_panel(chart_.measures[i], {kLeft, y, width_, kPanelHeight});
    }
    return svg + draw_categories(bottom) + "</svg>\n";
  }

 private:
  bool is_marked(size_t i) const { return !chart_.marked.empty() && chart_.marked[i]; }
  double middle(size_t i) const { return kLeft + slot_ * (static_cast<double>(i) + 0.5); }

  std::string draw_legend() const {
    std::string drawn;
    double x = kLeft;
    const auto add = [&](const char* color, const std::string& label) {
      drawn += fmt::format("<rect x=\"{}\" y=\"6\" width=\"12\" height=\"12\" class=\"bar {}\"/>\n",
                           coordinate(x), color);
      drawn += svg_text(x + 18, 16, "start", "label", label);
      x += 18 + label_width(label) + 24;
    };
    add("s1", chart_.marked_label);
    if (!chart_.plain_label.empty()) add("s0", chart_.plain_label);
    return drawn;
  }

  std::string draw_panel(const BarMeasure& measure, const PlotArea& area) const {
    double low = 0, high = 0;
    for (const double value : measure.values) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    if (low == high) high = 1;  // all zero, or nothing was measured
    const double margin = 0.06 * (high - low);
    const Axis axis = {.low = low < 0 ? low - margin : 0,
                       .high = high > 0 ? high + margin : 0,
                       .first_pixel = area.bottom(),
                       .last_pixel = area.top};
    const std::vector<double> ticks = round_ticks(axis.low, axis.high, 4);
    const std::vector<std::string> labels = tick_labels(ticks);
    std::string drawn = draw_y_axis(area, axis, ticks, labels, measure.label);
    for (size_t i = 0; i < measure.values.size(); ++i) drawn += draw_bar(measure, i, axis);
    return drawn + svg_line(area.left, axis.pixel(0), area.right(), axis.pixel(0), "axis");
  }

  std::string draw_bar(const BarMeasure& measure, size_t i, const Axis& axis) const {
    const double value = measure.values[i];
    if (!std::isfinite(value)) return "";
    const double ends[] = {axis.pixel(0), axis.pixel(value)};
    const double width = 0.72 * slot_, top = std::min(ends[0], ends[1]);
    return fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"bar {}\">{}</rect>\n",
        coordinate(middle(i) - width / 2), coordinate(top), coordinate(width),
        coordinate(std::max(0.5, std::abs(ends[0] - ends[1]))), is_marked(i) ? "s1" : "s0",
        svg_tip(fmt::format("{}: {:.4g}", chart_.categories[i], value)));
  }

  /// Names the categories, as many as have room; those that are marked come first.
  std::string draw_categories(double bottom) const {
    std::vector<std::pair<double, double>> taken;
    std::string drawn;
    for (const bool marked : {true, false}) {
      for (size_t i = 0; i < chart_.categories.size(); ++i) {
        if (is_marked(i) != marked) continue;
        const std::string name = shortened(chart_.categories[i], kMaxNameChars);
        const double x = middle(i), half = label_width(name) / 2 + 2;
        const bool touches = std::any_of(taken.begin(), taken.end(), [&](const auto& other) {
          return x - half < other.second && x + half > other.first;
        });
        if (touches) continue;
        taken.emplace_back(x - half, x + half);
        drawn += svg_text(x, bottom + 18, "middle", marked ? "tick strong" : "tick", name);
      }
    }
    return drawn + svg_text(kLeft + width_ / 2, bottom + 40, "middle", "label", chart_.x_label);
  }

  const BarChart& chart_;
  double slot_, width_;
  bool has_legend_;
};

}  // namespace

std::string svg_chart(const BarChart& chart) {
  check(chart);
  return BarPlot(chart).draw();
}

}  // namespace longgen
