// eval/report_files.h: what the reports share: their files, and numbers as they stand in them.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/eval/report.h"
#include "longgen/eval/table.h"

namespace longgen {

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
