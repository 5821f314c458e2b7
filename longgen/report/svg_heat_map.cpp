#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/report/svg_chart.h"
#include "longgen/report/svg_plot.h"
#include "longgen/report/svg_text.h"

namespace longgen {
namespace {

using Color = std::array<double, 3>;

// Ten samples of viridis (CC0), from 0 to 1.
constexpr std::array<Color, 10> kViridis = {{{0x44, 0x01, 0x54},
                                             {0x48, 0x28, 0x78},
                                             {0x3E, 0x4A, 0x89},
                                             {0x31, 0x68, 0x8E},
                                             {0x26, 0x82, 0x8E},
                                             {0x1F, 0x9E, 0x89},
                                             {0x35, 0xB7, 0x79},
                                             {0x6D, 0xCD, 0x59},
                                             {0xB4, 0xDE, 0x2C},
                                             {0xFD, 0xE7, 0x25}}};
constexpr double kDarkBelow = 0.45;  // white numbers up to there, black ones above

constexpr double kCellHeight = 32, kMinCellWidth = 46, kMaxCellWidth = 76, kPlotWidth = 560;
constexpr double kTop = 10;

std::string color_of(double share) {
  const double place = share * static_cast<double>(kViridis.size() - 1);
  const auto below = std::min(static_cast<size_t>(place), kViridis.size() - 2);
  const double part = place - static_cast<double>(below);
  std::string color = "#";
  for (size_t i = 0; i < 3; ++i) {
    const double value = kViridis[below][i] * (1 - part) + kViridis[below + 1][i] * part;
    color += fmt::format("{:02X}", static_cast<int>(std::lround(value)));
  }
  return color;
}

void check(const HeatMap& map) {
  LG_CHECK(!map.rows.empty() && !map.columns.empty(), "[svg_chart] expected a cell, found ",
           map.rows.size(), " rows of ", map.columns.size(), ".");
  LG_CHECK(map.cells.size() == map.rows.size(), "[svg_chart] expected cells of ", map.rows.size(),
           " rows, found ", map.cells.size(), ".");
  for (const auto& row : map.cells) {
    LG_CHECK(row.size() == map.columns.size(), "[svg_chart] expected rows of ", map.columns.size(),
             " cells, found one of ", row.size(), ".");
    for (const auto& cell : row) {
      LG_CHECK(!cell || (cell->share >= 0 && cell->share <= 1),
               "[svg_chart] cell: expected a share from 0 to 1, found ", cell ? cell->share : 0,
               ".");
    }
  }
}

std::string draw_cell(const std::optional<HeatCell>& cell, const PlotArea& place) {
  const double x = place.left + place.width / 2, y = place.top + place.height / 2 + 4;
  if (!cell) return svg_text(x, y, "middle", "tick", "–");
  return fmt::format("<g>{}<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>\n",
                     svg_tip(cell->note), coordinate(place.left + 1), coordinate(place.top + 1),
                     coordinate(place.width - 2), coordinate(place.height - 2),
                     color_of(cell->share)) +
         svg_text(x, y, "middle", cell->share < kDarkBelow ? "on-dark" : "on-light", cell->label) +
         "</g>\n";
}

}  // namespace

std::string svg_chart(const HeatMap& map) {
  check(map);
  double names = 0;
  for (const std::string& row : map.rows) names = std::max(names, label_width(row));
  const auto num_columns = static_cast<double>(map.columns.size());
  const double cell_width = std::clamp(kPlotWidth / num_columns, kMinCellWidth, kMaxCellWidth);
  const double height = kCellHeight * static_cast<double>(map.rows.size());
  const PlotArea area = {.left = names + 36,
                         .top = std::max(kTop, (label_width(map.y_label) - height) / 2),
                         .width = cell_width * num_columns,
                         .height = height};
  // Of few columns the axis may have a longer name than room.
  const double half_label = label_width(map.x_label) / 2;
  const double label_x = std::max(area.left + area.width / 2, half_label);
  std::string svg =
      open_svg(std::max(area.right() + 12, label_x + half_label), area.bottom() + 48, map.title);
  svg += draw_y_axis(area, {}, {}, {}, map.y_label);
  for (size_t r = 0; r < map.rows.size(); ++r) {
    const double top = area.top + kCellHeight * static_cast<double>(r);
    svg += svg_text(area.left - 6, top + kCellHeight / 2 + 4, "end", "tick", map.rows[r]);
    for (size_t c = 0; c < map.columns.size(); ++c) {
      const double left = area.left + cell_width * static_cast<double>(c);
      svg += draw_cell(map.cells[r][c], {left, top, cell_width, kCellHeight});
    }
  }
  for (size_t c = 0; c < map.columns.size(); ++c) {
    const double x = area.left + cell_width * (static_cast<double>(c) + 0.5);
    svg += svg_text(x, area.bottom() + 18, "middle", "tick", map.columns[c]);
  }
  return svg + svg_text(label_x, area.bottom() + 40, "middle", "label", map.x_label) + "</svg>\n";
}

}  // namespace longgen
