// eval/perplexity_report.h: perplexity by position and by context, of one model or several.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/eval/buckets.h"
#include "longgen/eval/nll.h"
#include "longgen/report/report_files.h"

namespace longgen {

/// What a model gave to the same tokens of documents after a context of some length.
struct ContextNll {
  int64_t context_tokens = 0;  ///< read, the tokens that count among them
  std::vector<NllSum> documents;
};

struct ModelPerplexity {
  std::string name;  ///< any text
  PositionBuckets buckets;
  /// Ascending, each with the same documents, at least one; empty where none were measured.
  std::vector<ContextNll> contexts = {};
  /// Whether it read the same tokens as the first model: then their documents are compared.
  bool reads_same_tokens = true;
};

/// Compares a model with the first, in percent of the first's perplexity (eval/nll.h). Nothing is
/// compared (num_items == 0) where they read other tokens or have other edges or contexts.
PairedDifference bucket_difference(const ModelPerplexity& first, const ModelPerplexity& model,
                                   int64_t bucket);
PairedDifference overall_difference(const ModelPerplexity& first, const ModelPerplexity& model);
PairedDifference context_difference(const ModelPerplexity& first, const ModelPerplexity& model,
                                    size_t context);

/// Compares a context with the model's shortest one, over the same tokens: below 0, more context
/// helps.
PairedDifference context_change(const ModelPerplexity& model, size_t context);

/// Gives what NAME.json of a perplexity report holds and `longgen eval perplexity --json` prints.
/// Where contexts were measured, their report stands in it under "contexts".
OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models,
                            const OrderedJson& settings);

/// Draws perplexity against position, one line a model, in the order given. Models may differ in
/// edges and documents. Throws Error on a bad report name, on no models, when no model has a token,
/// and when a file cannot be written.
ReportFiles write_perplexity_report(const std::vector<ModelPerplexity>& models,
                                    const ReportOptions& options);

/// Does the same for perplexity against context, of models that have contexts.
ReportFiles write_context_report(const std::vector<ModelPerplexity>& models,
                                 const ReportOptions& options);

}  // namespace longgen
