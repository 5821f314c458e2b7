#include "longgen/cli/html_report.h"

#include <ctime>

#include "longgen/base/check.h"
#include "longgen/base/files.h"
#include "longgen/base/log.h"
#include "longgen/cli/version.h"

namespace longgen {
namespace {

std::string date_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace

void add_html_option(CLI::App* app, std::string& file) {
  app->add_option("--html", file, "a page for a browser, made to be sent (default: none)")
      ->option_text("FILE");
}

void try_html_file(const std::string& file) {
  if (file.empty()) return;
  LG_CHECK(!fs::is_directory(file), "--html ", file, ": expected a file to write, found a folder.");
  const fs::path folder = fs::path(file).parent_path();
  if (!folder.empty()) make_folder(folder);
  AtomicFile trial{fs::path(file)};
  trial.write("\n");  // without commit() nothing stays
}

void write_html_report(ReportPage page, const std::string& command_line, const std::string& file) {
  page.facts.insert(
      page.facts.begin(),
      {{"command", command_line}, {"program", version_text()}, {"date", date_text()}});
  write_file(file, html_page(page));
  log_info("written: " + file);
}

}  // namespace longgen
