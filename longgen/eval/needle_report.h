// eval/needle_report.h: which needles a model found, as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/report/paired.h"
#include "longgen/report/report_files.h"

namespace longgen {

struct NeedleCell {
  int64_t length_tokens = 0;
  double depth_percent = 0;
  int64_t num_found = 0;    ///< of num_samples
  int64_t num_samples = 0;  ///< at least 1
};

struct NeedleReply {
  int64_t length_tokens = 0, index = 0;
  double depth_percent = 0;
  std::string answer, reply;
  bool found = false;
};

struct NeedleGrid {
  std::string model;                      ///< any text
  std::string haystack;                   ///< Haystack::kind()
  std::vector<NeedleCell> cells;          ///< in any order; those that were not measured may lack
  std::vector<NeedleReply> replies = {};  ///< of each sample, as far as they are known
};

/// Throws Error on no cells, two cells of the same place, a cell without samples or with more found
/// than samples, and more than 100 lengths or depths.
void check_needle_cells(const std::vector<NeedleCell>& cells);

/// How many of the needles a model found, over all depths.
struct NeedleShare {
  int64_t length_tokens = 0;  ///< 0: over all lengths, too
  int64_t num_found = 0, num_samples = 0;
};

/// Gives the shares of each length, ascending, and last that of all.
std::vector<NeedleShare> needle_shares(const NeedleGrid& grid);

/// Compares the needles that both models were asked for (same length, depth, index and number): the
/// share that `grid` found less the share that `first` found. length_tokens 0: of all lengths.
PairedDifference needle_difference(const NeedleGrid& first, const NeedleGrid& grid,
                                   int64_t length_tokens = 0);

/// Gives what NAME.json of a needle report holds, which is also what `longgen eval needle --json`
/// prints of each model. Where there is a `first` model that this one is compared with, the JSON
/// has the difference to it.
OrderedJson needle_json(const NeedleGrid& grid, const OrderedJson& settings,
                        const NeedleGrid* first = nullptr);

/// Draws the heat map of depth against length. Throws Error on a bad report name, on cells that
/// check_needle_cells() refuses, and when a file cannot be written.
ReportFiles write_needle_report(const NeedleGrid& grid, const ReportOptions& options,
                                const NeedleGrid* first = nullptr);

/// Writes 0% and 100% where they are exact: one miss in a thousand does not show 100%.
std::string percent_label(int64_t num_found, int64_t num_samples);

}  // namespace longgen
