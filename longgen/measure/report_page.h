// measure/report_page.h: a measurement as a page for a browser.
#pragma once

#include <string>

#include "longgen/measure/report.h"
#include "longgen/report/html_page.h"

namespace longgen {

/// Makes the page of the model of this name: what each unit loses alone, as bars and as figures,
/// and what the model loses as full units are added, with how the figures came about.
ReportPage measure_page(const MeasureReport& report, const std::string& model_name);

}  // namespace longgen
