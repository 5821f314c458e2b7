#include "longgen/eval/needle_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "longgen/base/check.h"
#include "longgen/report/gnuplot.h"
#include "longgen/report/interval.h"

namespace longgen {
namespace {

constexpr size_t kMaxSide = 100;  // lengths or depths: more cells could not hold their numbers
constexpr int64_t kMaxNameChars = 60;

// Ten samples of viridis (public domain, CC0), whose lightness rises all the way: readable for
// colour-blind people and in grey.
constexpr const char* kPalette =
    "set palette defined (0 '#440154', 1 '#482878', 2 '#3E4A89', 3 '#31688E', 4 '#26828E', "
    "5 '#1F9E89', 6 '#35B779', 7 '#6DCD59', 8 '#B4DE2C', 9 '#FDE725')\n";
constexpr double kDarkBelow = 0.5;  // of the palette: white figures up to there, black above

double share_of(const NeedleCell& cell) {
  return static_cast<double>(cell.num_found) / static_cast<double>(cell.num_samples);
}

/// Sorts cells by length, then depth.
std::vector<NeedleCell> sorted(std::vector<NeedleCell> cells) {
  std::sort(cells.begin(), cells.end(), [](const NeedleCell& a, const NeedleCell& b) {
    return std::pair(a.length_tokens, a.depth_percent) <
           std::pair(b.length_tokens, b.depth_percent);
  });
  return cells;
}

NeedleCell total_of(const std::vector<NeedleCell>& cells) {
  NeedleCell total;
  for (const NeedleCell& cell : cells) {
    total.num_found += cell.num_found;
    total.num_samples += cell.num_samples;
  }
  return total;
}

OrderedJson reply_json(const NeedleReply& reply) {
  return {{"length", reply.length_tokens}, {"depth_percent", reply.depth_percent},
          {"index", reply.index},          {"answer", reply.answer},
          {"reply", reply.reply},          {"found", reply.found}};
}

Table report_table(const NeedleGrid& grid, const std::vector<NeedleCell>& cells) {
  Table table;
  table.columns = {"model",   "haystack", "length",    "depth_percent", "found",
                   "samples", "share",    "share_low", "share_high"};
  for (const NeedleCell& cell : cells) {
    const Interval interval = wilson_interval(cell.num_found, cell.num_samples);
    table.rows.push_back({grid.model, grid.haystack, std::to_string(cell.length_tokens),
                          format_number(cell.depth_percent), std::to_string(cell.num_found),
                          std::to_string(cell.num_samples), format_number(share_of(cell)),
                          format_number(interval.low), format_number(interval.high)});
  }
  return table;
}

/// The columns and rows of the picture: each length and depth that occurs, in order.
struct Axes {
  std::map<int64_t, int64_t> column_of;
  std::map<double, int64_t> row_of;

  explicit Axes(const std::vector<NeedleCell>& cells) {
    for (const NeedleCell& cell : cells) {
      column_of[cell.length_tokens] = 0;
      row_of[cell.depth_percent] = 0;
    }
    int64_t next = 0;
    for (auto& [length, column] : column_of) column = next++;
    next = 0;
    for (auto& [depth, row] : row_of) row = next++;
  }
};

std::string data_of(const std::vector<NeedleCell>& cells, const Axes& axes) {
  std::string data = "# column row percent label label_color length depth_percent\n";
  for (const NeedleCell& cell : cells) {
    const double share = share_of(cell);
    data += fmt::format("{} {} {:.6g} {} {} {} {:.6g}\n", axes.column_of.at(cell.length_tokens),
                        axes.row_of.at(cell.depth_percent), 100 * share,
                        percent_label(cell.num_found, cell.num_samples),
                        share < kDarkBelow ? 0xFFFFFF : 0, cell.length_tokens, cell.depth_percent);
  }
  return data;
}

std::string title_of(const NeedleGrid& grid, const std::vector<NeedleCell>& cells) {
  int64_t fewest = cells.front().num_samples, most = fewest;
  for (const NeedleCell& cell : cells) {
    fewest = std::min(fewest, cell.num_samples);
    most = std::max(most, cell.num_samples);
  }
  const NeedleCell all = total_of(cells);
  const std::string n =
      fewest == most ? std::to_string(most) : fmt::format("{} to {}", fewest, most);
  return fmt::format(
      "set title {} . \"\\n\" . {} noenhanced\n", gnuplot_string(grid.model, kMaxNameChars),
      gnuplot_string(fmt::format("needle found in {} haystack, n = {} per cell, all: {}",
                                 grid.haystack, n, percent_label(all.num_found, all.num_samples)),
                     120));
}

std::string script_of(const std::string& name, const NeedleGrid& grid,
                      const std::vector<NeedleCell>& cells, const Axes& axes) {
  std::string x_tics, y_tics;
  for (const auto& [length, column] : axes.column_of) {
    x_tics += fmt::format("{}'{}' {}", column == 0 ? "" : ", ", token_label(length), column);
  }
  for (const auto& [depth, row] : axes.row_of) {  // gnuplot takes the labels of tics for formats
    y_tics += fmt::format("{}'{:.3g}%%' {}", row == 0 ? "" : ", ", depth, row);
  }
  const auto num_columns = static_cast<int64_t>(axes.column_of.size());
  const auto num_rows = static_cast<int64_t>(axes.row_of.size());
  const std::string body = fmt::format(
      "{}{}"
      "set cbrange [0:100]\n"
      "set cbtics 0,25,100 format '%g%%'\n"
      "set xlabel 'length of the prompt with the reply (tokens)'\n"
      "set ylabel 'depth of the needle'\n"
      "set xtics ({}) scale 0{}\n"
      "set ytics ({}) scale 0\n"
      "set tics textcolor rgb 'black'\n"
      "set xrange [-0.5:{}.5]\n"
      "set yrange [{}.5:-0.5]\n"
      "set border lc rgb '#606060'\n"
      "unset key\n"
      "plot '{}.dat' using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror "
      "fill solid 1 border lc rgb 'white' fc palette, \\\n"
      "     '' using 1:2:4:5 with labels textcolor rgb variable\n",
      title_of(grid, cells), kPalette, x_tics, num_columns > 8 ? " rotate by -45" : "", y_tics,
      num_columns - 1, num_rows - 1, name);
  return gnuplot_script(name, std::max<int64_t>(640, 230 + 64 * num_columns),
                        std::max<int64_t>(360, 190 + 36 * num_rows), body);
}

OrderedJson difference_json(const PairedDifference& difference) {
  if (difference.num_items == 0) return nullptr;
  OrderedJson json = {{"samples", difference.num_items}, {"share", difference.mean}};
  json["interval"] = nullptr;
  if (difference.interval) {
    json["interval"] = {difference.interval->low, difference.interval->high};
  }
  return json;
}

OrderedJson differences_json(const NeedleGrid& first, const NeedleGrid& grid) {
  OrderedJson json;
  json["to"] = first.model;
  json["note"] =
      "share found less that of the other model, of the same samples; 95% interval for paired "
      "proportions (Bonett and Price), null for fewer than two samples";
  json["overall"] = difference_json(needle_difference(first, grid));
  json["lengths"] = OrderedJson::array();
  for (const NeedleShare& share : needle_shares(grid)) {
    if (share.length_tokens == 0) continue;
    json["lengths"].push_back(
        {{"length", share.length_tokens},
         {"difference", difference_json(needle_difference(first, grid, share.length_tokens))}});
  }
  return json;
}

}  // namespace

void check_needle_cells(const std::vector<NeedleCell>& cells) {
  LG_CHECK(!cells.empty(), "[report] expected at least one cell, found none.");
  std::set<std::pair<int64_t, double>> places;
  std::set<int64_t> lengths;
  std::set<double> depths;
  for (const NeedleCell& cell : cells) {
    const std::string where = fmt::format("[report] cell of length {} and depth {}%",
                                          cell.length_tokens, cell.depth_percent);
    LG_CHECK(cell.length_tokens >= 1 && cell.depth_percent >= 0 && cell.depth_percent <= 100, where,
             ": expected a length of at least 1 and a depth of 0 to 100 percent.");
    LG_CHECK(cell.num_samples >= 1 && cell.num_found >= 0 && cell.num_found <= cell.num_samples,
             where, ": expected 0 to n found of n >= 1 samples, found ", cell.num_found, " of ",
             cell.num_samples, ".");
    LG_CHECK(places.emplace(cell.length_tokens, cell.depth_percent).second, where,
             ": expected each cell once, found it twice.");
    lengths.insert(cell.length_tokens);
    depths.insert(cell.depth_percent);
  }
  LG_CHECK(lengths.size() <= kMaxSide && depths.size() <= kMaxSide, "[report] expected at most ",
           kMaxSide, " lengths and depths, found ", lengths.size(), " and ", depths.size(), ".");
}

std::string percent_label(int64_t num_found, int64_t num_samples) {
  const double share = static_cast<double>(num_found) / static_cast<double>(num_samples);
  double percent = std::round(100 * share);
  if (num_found > 0) percent = std::max(percent, 1.0);
  if (num_found < num_samples) percent = std::min(percent, 99.0);
  return fmt::format("{:.0f}%", percent);
}

std::vector<NeedleShare> needle_shares(const NeedleGrid& grid) {
  std::map<int64_t, NeedleShare> by_length;
  NeedleShare all;
  for (const NeedleCell& cell : grid.cells) {
    NeedleShare& share = by_length[cell.length_tokens];
    share.length_tokens = cell.length_tokens;
    for (NeedleShare* sum : {&share, &all}) {
      sum->num_found += cell.num_found;
      sum->num_samples += cell.num_samples;
    }
  }
  std::vector<NeedleShare> shares;
  for (const auto& [length, share] : by_length) shares.push_back(share);
  shares.push_back(all);
  return shares;
}

PairedDifference needle_difference(const NeedleGrid& first, const NeedleGrid& grid,
                                   int64_t length_tokens) {
  using Place = std::tuple<int64_t, double, int64_t, std::string>;
  const auto place_of = [](const NeedleReply& reply) {
    return Place(reply.length_tokens, reply.depth_percent, reply.index, reply.answer);
  };
  std::map<Place, bool> found_first;
  for (const NeedleReply& reply : first.replies) found_first[place_of(reply)] = reply.found;
  std::vector<double> scores, others;
  for (const NeedleReply& reply : grid.replies) {
    if (length_tokens != 0 && reply.length_tokens != length_tokens) continue;
    const auto other = found_first.find(place_of(reply));
    if (other == found_first.end()) continue;
    others.push_back(other->second ? 1 : 0);
    scores.push_back(reply.found ? 1 : 0);
  }
  return paired_difference(others, scores);
}

OrderedJson needle_json(const NeedleGrid& grid, const OrderedJson& settings,
                        const NeedleGrid* first) {
  const auto add_counts = [](const NeedleCell& cell, OrderedJson& json) {
    const Interval interval = wilson_interval(cell.num_found, cell.num_samples);
    json["found"] = cell.num_found;
    json["samples"] = cell.num_samples;
    json["share"] = share_of(cell);
    json["interval"] = {interval.low, interval.high};
  };
  check_needle_cells(grid.cells);
  OrderedJson json;
  json["report"] = "needle in a haystack";
  json["settings"] = settings;
  json["model"] = grid.model;
  json["haystack"] = grid.haystack;
  json["interval"] = "95% of the share found: Wilson's score interval";
  add_counts(total_of(grid.cells), json["overall"]);
  if (first != nullptr) json["difference"] = differences_json(*first, grid);
  json["cells"] = OrderedJson::array();
  for (const NeedleCell& cell : sorted(grid.cells)) {
    OrderedJson entry = {{"length", cell.length_tokens}, {"depth_percent", cell.depth_percent}};
    add_counts(cell, entry);
    json["cells"].push_back(std::move(entry));
  }
  json["replies"] = OrderedJson::array();
  for (const NeedleReply& reply : grid.replies) json["replies"].push_back(reply_json(reply));
  return json;
}

ReportFiles write_needle_report(const NeedleGrid& grid, const ReportOptions& options,
                                const NeedleGrid* first) {
  check_report_name(options.name);
  check_needle_cells(grid.cells);
  const std::vector<NeedleCell> cells = sorted(grid.cells);
  const Axes axes(cells);
  return write_report({needle_json(grid, options.settings, first), report_table(grid, cells),
                       data_of(cells, axes), script_of(options.name, grid, cells, axes)},
                      options);
}

}  // namespace longgen
