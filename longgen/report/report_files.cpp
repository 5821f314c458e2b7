#include "longgen/report/report_files.h"

#include <fmt/format.h>

#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/report/gnuplot.h"

namespace longgen {

void check_report_name(const std::string& name) {
  bool good = !name.empty() && name.size() <= 100 && name[0] != '.';
  for (const char c : name) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.');
  }
  LG_CHECK(good,
           "[report] name: expected 1 to 100 letters, digits, \"-\", \"_\" or \".\" (not first), "
           "found \"",
           name, "\".");
}

void try_report_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  LG_CHECK(!error, folder.string(), ": cannot be created: ", error.message(), ".");
  AtomicFile trial(folder / "report");
  trial.write("\n");  // without commit() nothing stays
}

ReportFiles write_report(const ReportContent& content, const ReportOptions& options) {
  try_report_folder(options.folder);
  ReportFiles result;
  const auto write = [&](const char* ending, const std::string& bytes) {
    result.files.push_back(options.folder / (options.name + ending));
    write_file(result.files.back(), bytes);
  };
  write(".json", dump_json(content.json, 2) + "\n");
  write(".csv", to_csv(content.table));
  write(".dat", content.data);
  write(".gp", content.script);
  result.picture_problem = run_gnuplot(options.gnuplot, options.folder, options.name);
  if (!result.picture_problem.empty()) {
    log_warning(result.picture_problem);
    return result;
  }
  for (const char* ending : {".svg", ".png"}) {
    result.files.push_back(options.folder / (options.name + ending));
  }
  return result;
}

std::string format_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "";
}

OrderedJson json_number(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

std::string token_label(int64_t tokens) {
  constexpr int64_t kKilo = 1024, kMega = kKilo * kKilo;
  if (tokens > 0 && tokens % kMega == 0) return fmt::format("{}M", tokens / kMega);
  if (tokens > 0 && tokens % kKilo == 0) return fmt::format("{}K", tokens / kKilo);
  return format_count(tokens);
}

}  // namespace longgen
