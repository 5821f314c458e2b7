// eval/report.h: results as files that programs (JSON, CSV) and people (SVG, PNG) read.
//
// A report called NAME is NAME.json, NAME.csv, NAME.dat and NAME.gp (what the pictures are drawn
// from: `gnuplot NAME.gp` in that folder draws them again), NAME.svg and NAME.png. Each file is
// written atomically; the folder is made when it is missing. Without gnuplot, or when it fails, a
// warning says so and the other files are written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/eval/buckets.h"

namespace longgen {

struct ReportOptions {
  fs::path folder;
  std::string name;                 ///< letters, digits, - _ . and not a . first
  OrderedJson settings;             ///< how the numbers came about; goes into the JSON as it is
  std::string gnuplot = "gnuplot";  ///< program, looked for on PATH
};

struct ReportFiles {
  std::vector<fs::path> files;  ///< in the order json, csv, dat, gp, svg, png
  std::string picture_problem;  ///< why svg and png are missing; empty when they are there
};

/// Makes the folder where it is missing and tries it with a file that is removed again, so that a
/// folder that cannot be written is found before hours of work. Throws Error.
void try_report_folder(const fs::path& folder);

struct ModelPerplexity {
  std::string name;  ///< any text
  PositionBuckets buckets;
};

/// Gives what NAME.json of a perplexity report holds and `longgen eval perplexity --json` prints.
OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models,
                            const OrderedJson& settings);

/// Draws perplexity against position, one line a model, in the order given. Models may differ in
/// edges and documents. Throws Error on a bad report name, on no models, when no model has a token,
/// and when a file cannot be written.
ReportFiles write_perplexity_report(const std::vector<ModelPerplexity>& models,
                                    const ReportOptions& options);

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
