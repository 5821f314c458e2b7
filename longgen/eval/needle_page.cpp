#include "longgen/eval/needle_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/report/svg_chart.h"

namespace longgen {
namespace {

using Grids = std::vector<NeedleGrid>;

std::string found_of(int64_t num_found, int64_t num_samples) {
  return fmt::format("{} of {}", num_found, num_samples);
}

Interval percent(const Interval& share) { return {100 * share.low, 100 * share.high}; }

/// Lists the values of all cells once, ascending.
template <typename Value, typename Of>
std::vector<Value> places_of(const NeedleGrid& grid, const Of& of) {
  std::vector<Value> places;
  for (const NeedleCell& cell : grid.cells) places.push_back(of(cell));
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

PageChart heat_map(const NeedleGrid& grid) {
  const auto lengths =
      places_of<int64_t>(grid, [](const NeedleCell& cell) { return cell.length_tokens; });
  const auto depths =
      places_of<double>(grid, [](const NeedleCell& cell) { return cell.depth_percent; });
  HeatMap map{.title = "Needles that " + grid.model + " found, by depth and length",
              .x_label = "length of the prompt with the reply (tokens)",
              .y_label = "depth of the needle",
              .columns = {},
              .rows = {},
              .cells = {}};
  for (const int64_t length : lengths) map.columns.push_back(token_label(length));
  for (const double depth : depths) map.rows.push_back(fmt::format("{:.3g}%", depth));
  map.cells.assign(depths.size(), std::vector<std::optional<HeatCell>>(lengths.size()));
  for (const NeedleCell& cell : grid.cells) {
    const auto row = std::lower_bound(depths.begin(), depths.end(), cell.depth_percent);
    const auto column = std::lower_bound(lengths.begin(), lengths.end(), cell.length_tokens);
    map.cells[static_cast<size_t>(row - depths.begin())]
             [static_cast<size_t>(column - lengths.begin())] = {
        static_cast<double>(cell.num_found) / static_cast<double>(cell.num_samples),
        percent_label(cell.num_found, cell.num_samples),
        fmt::format("{} at {:.3g}% of {}: {}", grid.model, cell.depth_percent,
                    format_count(cell.length_tokens, "token"),
                    found_of(cell.num_found, cell.num_samples))};
  }
  const NeedleShare all = needle_shares(grid).back();
  return {grid.model + ": " + found_of(all.num_found, all.num_samples), svg_chart(map)};
}

PageChart length_chart(const Grids& grids) {
  LineChart chart{.title = "Share of the needles found, by length",
                  .x_label = "length of the prompt with the reply (tokens)",
                  .y_label = "found",
                  .series = {},
                  .digits = 0,
                  .unit = "%",
                  .from_zero_to = 100};
  for (const NeedleGrid& grid : grids) {
    ChartSeries series{grid.model, {}};
    for (const NeedleShare& share : needle_shares(grid)) {
      if (share.length_tokens == 0) continue;
      series.points.push_back(
          {static_cast<double>(share.length_tokens),
           100 * static_cast<double>(share.num_found) / static_cast<double>(share.num_samples),
           percent(wilson_interval(share.num_found, share.num_samples))});
    }
    chart.series.push_back(std::move(series));
  }
  return {chart.title, svg_chart(chart)};
}

PageCell figure(const NeedleShare& share) {
  const Interval interval = percent(wilson_interval(share.num_found, share.num_samples));
  return {found_of(share.num_found, share.num_samples),
          fmt::format("{:.0f}% to {:.0f}%", interval.low, interval.high)};
}

PageCell figure(const PairedDifference& difference) {
  if (difference.num_items == 0) return {"–"};
  return {signed_text(100 * difference.mean, 1) + " points",
          interval_text(difference.interval, 1, 100)};
}

PageTable length_table(const Grids& grids) {
  PageTable table{"Needles found by length, over all depths", {"length"}, {}, true};
  for (size_t m = 0; m < grids.size(); ++m) {
    table.columns.push_back(grids[m].model);
    if (m > 0) table.columns.push_back("against " + grids.front().model);
  }
  for (const NeedleShare& place : needle_shares(grids.front())) {
    std::vector<PageCell> row = {
        {place.length_tokens == 0 ? "all" : token_label(place.length_tokens)}};
    for (const NeedleGrid& grid : grids) {
      const std::vector<NeedleShare> shares = needle_shares(grid);
      const auto share = std::find_if(shares.begin(), shares.end(), [&](const NeedleShare& one) {
        return one.length_tokens == place.length_tokens;
      });
      row.push_back(share == shares.end() ? PageCell{"–"} : figure(*share));
      if (&grid == &grids.front()) continue;
      row.push_back(figure(needle_difference(grids.front(), grid, place.length_tokens)));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string summary_of(const Grids& grids) {
  const NeedleShare first = needle_shares(grids.front()).back();
  std::string text = grids.front().model + " finds " +
                     found_of(first.num_found, first.num_samples) + " needles in " +
                     grids.front().haystack + " haystacks.";
  for (size_t m = 1; m < grids.size(); ++m) {
    const NeedleShare all = needle_shares(grids[m]).back();
    const PairedDifference difference = needle_difference(grids.front(), grids[m]);
    text += " " + grids[m].model + " finds " + found_of(all.num_found, all.num_samples);
    if (difference.num_items > 0) {
      text += ": " + signed_text(100 * difference.mean, 1) + " points";
      if (difference.interval) {
        text += " (95% interval " + interval_text(difference.interval, 1, 100) + ")";
      }
    }
    text += ".";
  }
  return text;
}

}  // namespace

ReportPage needle_page(const std::vector<NeedleGrid>& grids) {
  LG_CHECK(!grids.empty(), "[report] expected at least one model, found none.");
  for (const NeedleGrid& grid : grids) check_needle_cells(grid.cells);
  ReportPage page{"Needles in a haystack:", summary_of(grids), {}, {}};
  PageCharts maps;
  for (const NeedleGrid& grid : grids) {
    page.title += (&grid == &grids.front() ? " " : ", ") + grid.model;
    maps.charts.push_back(heat_map(grid));
  }
  page.sections.push_back(
      {"By depth and length",
       {PageText{"Each cell is the share of prompts of that length in which the model gave back "
                 "the number that stands at that depth of the text."},
        std::move(maps)}});
  page.sections.push_back(
      {"By length",
       {length_chart(grids), length_table(grids),
        PageText{
            "Bands, and smaller figures, are 95% intervals over samples: Wilson's of a share, "
            "Bonett and Price's of the difference of two models asked for the same needles."}}});
  return page;
}

}  // namespace longgen
