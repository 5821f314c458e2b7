// report/svg_chart.h: pictures for pages: lines, bars and heat maps as SVG elements.
//
// A picture is one <svg> element that is well-formed XML, without scripts, fonts or links. Its
// colours come from classes: chart_css() must stand in the page, once, and follows the reader's
// light or dark scheme (prefers-color-scheme). Series have Okabe and Ito's colours ("Color
// Universal Design", 2008), which people with colour-blindness can tell apart, in an order that has
// contrast on white or on black; lines also differ in their marks and are named at their ends. Heat
// maps have viridis (CC0), whose lightness rises all the way, and a number in each cell. Titles are
// for screen readers; points, bars and cells say their numbers where a mouse rests. Names may be
// any text, whatever it holds; values that are not finite are left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/report/interval.h"

namespace longgen {

struct ChartPoint {
  double x = 0;  ///< above 0
  double y = 0;
  std::optional<Interval> interval;  ///< of y: drawn as a band
};

struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;  ///< x ascends
};

/// Lines over a logarithmic axis of tokens.
struct LineChart {
  std::string title, x_label, y_label;
  std::vector<ChartSeries> series;
  /// Shows y = 0 as a line and signs before the numbers: for differences. Otherwise the axis begins
  /// where the data does, and is logarithmic where they span a factor of more than five.
  bool is_difference = false;
  int digits = 2;                           ///< of the numbers that points say
  std::string unit = "";                    ///< behind numbers: "%"
  std::optional<double> from_zero_to = {};  ///< what the axis shows at least, from 0 on: 100
  size_t first_color =
      0;  ///< of the first series: keeps a model's colour where another is left out
};

/// One measure of a bar chart. Measures stand one below the other, each on its own axis.
struct BarMeasure {
  std::string label;           ///< of its axis
  std::vector<double> values;  ///< one a category; NaN leaves it empty
};

/// Bars for categories, such as layers.
struct BarChart {
  std::string title, x_label;
  std::vector<std::string> categories;
  std::vector<BarMeasure> measures;
  /// Categories that stand out, in another colour and with a bold name; empty: none.
  std::vector<bool> marked = {};
  std::string marked_label = {}, plain_label = {};  ///< for the legend, where some are marked
};

struct HeatCell {
  double share = 0;   ///< 0 to 1: the colour
  std::string label;  ///< short: the number in the cell
  std::string note;   ///< what the cell says where a mouse rests
};

/// Cells in rows, the first one on top.
struct HeatMap {
  std::string title, x_label, y_label;
  std::vector<std::string> columns, rows;
  std::vector<std::vector<std::optional<HeatCell>>> cells;  ///< [row][column]
};

/// Draw the pictures. All throw Error where there is nothing to draw: no finite point, no category,
/// no measure, no cell; and on sizes that do not fit together.
std::string svg_chart(const LineChart& chart);
std::string svg_chart(const BarChart& chart);
std::string svg_chart(const HeatMap& map);

/// Gives the style sheet that all pictures share.
std::string chart_css();

}  // namespace longgen
