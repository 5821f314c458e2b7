// eval/perplexity_report.h: perplexity by position, of one model or several, as files.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/eval/buckets.h"
#include "longgen/report/report_files.h"

namespace longgen {

struct ModelPerplexity {
  std::string name;  ///< any text
  PositionBuckets buckets;
};

/// Gives what NAME.json of a perplexity report holds and `longgen eval perplexity --json` prints.
OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models,
                            const OrderedJson& settings);

/// Draws perplexity against position, one line a model, in the order given. Models may differ in
/// edges and documents. Throws Error on a bad report name, on no models, when no model has a token,
/// and when a file cannot be written.
ReportFiles write_perplexity_report(const std::vector<ModelPerplexity>& models,
                                    const ReportOptions& options);

}  // namespace longgen
