// eval/perplexity_page.h: perplexity as a page of HTML.
#pragma once

#include <vector>

#include "longgen/eval/perplexity_report.h"
#include "longgen/report/html_page.h"

namespace longgen {

/// Makes the page of perplexity by position and, where they were measured, by context. The caller
/// adds the facts. Throws Error on no models and when no model has a token.
ReportPage perplexity_page(const std::vector<ModelPerplexity>& models);

}  // namespace longgen
