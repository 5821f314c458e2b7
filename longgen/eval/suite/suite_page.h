// eval/suite/suite_page.h: the results of models on tasks as a page of HTML.
#pragma once

#include <string>
#include <vector>

#include "longgen/eval/suite/suite_report.h"
#include "longgen/report/html_page.h"

namespace longgen {

/// Makes a section of each group, with a table of its scores and averages and, where it has several
/// lengths, a chart of the averages by length; then what was truncated. The caller adds the facts.
ReportPage suite_page(const std::vector<TaskResults>& results,
                      const std::vector<std::string>& models);

}  // namespace longgen
