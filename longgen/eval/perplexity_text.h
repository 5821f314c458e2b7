// eval/perplexity_text.h: what `longgen eval perplexity` prints.
#pragma once

#include <string>
#include <vector>

#include "longgen/eval/perplexity_report.h"

namespace longgen {

/// Writes perplexity by position, a column a model. Of further models a second table has the
/// difference to the first. Contexts have tables of the same kind below.
std::string perplexity_text(const std::vector<ModelPerplexity>& models);

/// Says of models that have fewer documents than the first one that they do, a sentence each: their
/// figures are of fewer texts. Empty where all have the same.
std::string stopped_text(const std::vector<ModelPerplexity>& models);

/// Names the positions of a bucket: "512-1,024".
std::string range_name(int64_t begin, int64_t end);

}  // namespace longgen
