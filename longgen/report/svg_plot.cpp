#include "longgen/report/svg_plot.h"

#include <fmt/format.h>

#include <cmath>

#include "longgen/report/svg_text.h"

namespace longgen {

double Axis::pixel(double value) const {
  const double share =
      is_logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return first_pixel + share * (last_pixel - first_pixel);
}

std::string open_svg(double width, double height, std::string_view title) {
  // On narrow screens a wide picture shrinks as far as its letters can be read (chart_css()).
  constexpr double kWide = 500;
  const std::string w = coordinate(width), h = coordinate(height), name = escape_xml(title);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart{3}\" role=\"img\" aria-label=\"{0}\" "
      "width=\"{1}\" height=\"{2}\" viewBox=\"0 0 {1} {2}\">\n",
      name, w, h, width > kWide ? " wide" : "");
}

std::string svg_text(double x, double y, std::string_view anchor, std::string_view kind,
                     std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n",
                     coordinate(x), coordinate(y), anchor, kind, escape_xml(text));
}

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view kind) {
  return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>\n",
                     coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), kind);
}

std::string svg_tip(std::string_view text) { return "<title>" + escape_xml(text) + "</title>"; }

std::string draw_y_axis(const PlotArea& area, const Axis& axis, const std::vector<double>& ticks,
                        const std::vector<std::string>& labels, std::string_view axis_label) {
  std::string drawn;
  for (size_t i = 0; i < ticks.size(); ++i) {
    const double y = axis.pixel(ticks[i]);
    drawn += svg_line(area.left, y, area.right(), y, "grid");
    drawn += svg_text(area.left - 8, y + 4, "end", "tick", labels[i]);
  }
  const double middle = area.top + area.height / 2;
  drawn += fmt::format(
      "<text x=\"0\" y=\"0\" transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\" "
      "class=\"label\">{}</text>\n",
      coordinate(middle), escape_xml(axis_label));
  return drawn;
}

}  // namespace longgen
