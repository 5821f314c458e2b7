// eval/needle_report.h: which needles a model found, as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
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

/// Gives what NAME.json of a needle report holds, which is also what `longgen eval needle --json`
/// prints of each model.
OrderedJson needle_json(const NeedleGrid& grid, const OrderedJson& settings);

/// Draws the heat map of depth against length. Throws Error on a bad report name, no cells, two
/// cells of the same place, a cell without samples or with more found than samples, more than 100
/// lengths or depths, and when a file cannot be written.
ReportFiles write_needle_report(const NeedleGrid& grid, const ReportOptions& options);

}  // namespace longgen
