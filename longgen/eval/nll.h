// eval/nll.h: the mean of -log p over the tokens of documents, and how sure it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "longgen/report/interval.h"
#include "longgen/report/paired.h"

namespace longgen {

/// What a model gave to tokens of one document.
struct NllSum {
  double nll = 0;  ///< sum of -log p in nats
  int64_t num_tokens = 0;
};

struct NllSummary {
  int64_t num_tokens = 0;     ///< 0 leaves everything below unset
  int64_t num_documents = 0;  ///< with at least one token
  double mean_nll = 0;        ///< nats a token, over all tokens
  double perplexity = 0;      ///< exp(mean_nll)
  /// The 95% interval of the mean; unset for fewer than two documents. Documents, not tokens, are
  /// the independent draws: this is the normal approximation to the ratio sum of NLL / number of
  /// tokens over documents. For documents that fill the bucket that is mean +- 1.96 * standard
  /// error of the documents' means. With few documents (below about ten) it is somewhat too narrow.
  std::optional<Interval> mean_nll_interval;
  std::optional<Interval> perplexity_interval;  ///< exp() of the one above
};

/// Summarizes documents; those without tokens do not count.
NllSummary summarize(std::span<const NllSum> documents);

/// Compares two models on the same documents, in the same order: the second's perplexity less the
/// first's, in percent of it. Of the list that is longer the end is left out (a run that was
/// stopped), and so are documents without tokens. Throws Error where a document does not have the
/// same number of tokens in both.
PairedDifference perplexity_difference(std::span<const NllSum> first,
                                       std::span<const NllSum> second);

}  // namespace longgen
