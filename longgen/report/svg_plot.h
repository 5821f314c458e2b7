// report/svg_plot.h: what line and bar charts share: a plot with its axes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// The pixels of a plot within its picture.
struct PlotArea {
  double left = 0, top = 0, width = 0, height = 0;
  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

/// An axis: values to pixels. Of a logarithmic one all values are above 0.
struct Axis {
  double low = 0, high = 1;  ///< low < high
  double first_pixel = 0, last_pixel = 1;
  bool is_logarithmic = false;

  double pixel(double value) const;
};

/// Opens an <svg> of a size, with its title.
std::string open_svg(double width, double height, std::string_view title);

/// Writes a text; `kind` is a class of chart_css(), such as "label", and may name more classes.
/// `anchor` is start, middle or end.
std::string svg_text(double x, double y, std::string_view anchor, std::string_view kind,
                     std::string_view text);

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view kind);

/// Writes the text that a browser shows where a mouse rests on the element around it.
std::string svg_tip(std::string_view text);

/// Draws numbers and grid lines of a vertical axis, and its label turned at the left edge.
std::string draw_y_axis(const PlotArea& area, const Axis& axis, const std::vector<double>& ticks,
                        const std::vector<std::string>& labels, std::string_view axis_label);

}  // namespace longgen
