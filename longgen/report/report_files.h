// report/report_files.h: results as files that programs (JSON, CSV) and people (SVG, PNG) read.
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
#include "longgen/report/table.h"

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

/// Throws Error unless the report's name can be a file name, and an unquoted one in a script.
void check_report_name(const std::string& name);

struct ReportContent {
  OrderedJson json;
  Table table;
  std::string data, script;  // for gnuplot
};

/// Writes all files of a report and has the pictures drawn.
ReportFiles write_report(const ReportContent& content, const ReportOptions& options);

/// Writes a number with six digits, the same in every locale; "" for one that is not finite.
std::string format_number(double value);

/// Gives the number, or null for one that is not finite, which JSON cannot carry.
OrderedJson json_number(double value);

/// Writes 8192 as "8K", 1048576 as "1M" and 1000 as "1,000".
std::string token_label(int64_t tokens);

}  // namespace longgen
