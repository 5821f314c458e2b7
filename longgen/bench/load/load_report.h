// bench/load/load_report.h: what became of a load, for people and programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/bench/load/load_summary.h"
#include "longgen/bench/load/request_form.h"
#include "longgen/bench/load/server_info.h"
#include "longgen/report/html_page.h"
#include "longgen/report/report_files.h"
#include "longgen/report/table.h"

namespace longgen {

struct LoadReport {
  std::string url = {};
  ServerInfo server = {};
  RequestForm form = {};
  std::vector<std::string> refused = {};  ///< fields that the server does not know
  std::string load = {};                  ///< what was asked, in words: "64 requests at 4 a second"
  std::optional<std::string> goal = {};
  LoadSummary summary = {};
  ServerCounters counters = {};
  std::vector<RequestRecord> records = {};
};

std::string to_text(const LoadReport& report);
OrderedJson to_json(const LoadReport& report);
/// A row a request.
Table to_table(const LoadReport& report);
ReportPage load_page(const LoadReport& report);
/// How slow the slowest were: first tokens and gaps; nothing where there are not two of either.
std::optional<PageChart> times_chart(const LoadReport& report);
/// Writes JSON, CSV and the pictures.
ReportFiles write_load_report(const LoadReport& report, const ReportOptions& options);

// What scenarios write, too.

OrderedJson to_json(const Distribution& distribution);
/// "p50 20.1 ms, p99 31 ms, worst 40 ms"
std::string gaps_text(const Distribution& gaps);
template <typename Value>
OrderedJson optional_json(const std::optional<Value>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

}  // namespace longgen
