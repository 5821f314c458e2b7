// report/html_page.h: a report as one page of HTML that stands alone, to be sent to a colleague.
//
// What a command measured it puts into a ReportPage, and html_page() makes the file of it. The page
// loads nothing and runs nothing (a content security policy in it says so, too), follows the
// reader's light or dark scheme, can be printed, and is well-formed XML. All texts may come from
// outside: they are shown as they are, never as markup.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace longgen {

struct PageText {
  std::string text;
};

/// A cell of a table: a figure with what is said of it in smaller letters, such as its interval.
struct PageCell {
  std::string text;
  std::string note = {};
};

/// A table of figures. The first column has names and stands left, the others stand right.
struct PageTable {
  std::string caption;
  std::vector<std::string> columns;
  std::vector<std::vector<PageCell>> rows;  ///< each as long as columns
  bool last_is_total = false;               ///< sets the last row apart
};

struct PageChart {
  std::string caption;
  std::string svg;  ///< of svg_chart(), which has escaped what it was given
};

/// Charts side by side where the page is wide enough.
struct PageCharts {
  std::vector<PageChart> charts;
};

struct PageSection {
  std::string title;
  std::vector<std::variant<PageText, PageTable, PageChart, PageCharts>> parts;
};

struct ReportPage {
  std::string title;
  std::string summary;  ///< the result in a sentence or two, for who reads no further
  std::vector<PageSection> sections;
  /// How the figures came about, by name: command, program, date, models, texts.
  std::vector<std::pair<std::string, std::string>> facts;
};

/// Makes the page. Throws Error on a table with a row of another length than its header.
std::string html_page(const ReportPage& page);

}  // namespace longgen
