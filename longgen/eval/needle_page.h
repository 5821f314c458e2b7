// eval/needle_page.h: needles found as a page of HTML.
#pragma once

#include <vector>

#include "longgen/eval/needle_report.h"
#include "longgen/report/html_page.h"

namespace longgen {

/// Makes the page of the grids of one command: a heat map a model, shares by length, differences to
/// the first. The caller adds the facts. Throws Error on no grids and as needle_json() does.
ReportPage needle_page(const std::vector<NeedleGrid>& grids);

}  // namespace longgen
