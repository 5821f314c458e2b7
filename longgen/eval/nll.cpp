#include "longgen/eval/nll.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {

NllSummary summarize(std::span<const NllSum> documents) {
  NllSummary summary;
  double nll = 0;
  for (const NllSum& document : documents) {
    if (document.num_tokens == 0) continue;
    nll += document.nll;
    summary.num_tokens += document.num_tokens;
    ++summary.num_documents;
  }
  if (summary.num_tokens == 0) return summary;
  const auto tokens = static_cast<double>(summary.num_tokens);
  summary.mean_nll = nll / tokens;
  summary.perplexity = std::exp(summary.mean_nll);
  if (summary.num_documents < 2) return summary;
  double squares = 0;
  for (const NllSum& document : documents) {
    const double expected = summary.mean_nll * static_cast<double>(document.num_tokens);
    squares += (document.nll - expected) * (document.nll - expected);
  }
  const auto n = static_cast<double>(summary.num_documents);
  const double half = kNormal95 * std::sqrt(squares * n / (n - 1)) / tokens;
  summary.mean_nll_interval = Interval{summary.mean_nll - half, summary.mean_nll + half};
  summary.perplexity_interval =
      Interval{std::exp(summary.mean_nll - half), std::exp(summary.mean_nll + half)};
  return summary;
}

PairedDifference perplexity_difference(std::span<const NllSum> first,
                                       std::span<const NllSum> second) {
  std::vector<DocumentPair> pairs;
  for (size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
    LG_CHECK(first[i].num_tokens == second[i].num_tokens, "[perplexity_difference] document ", i,
             ": expected the same tokens of both models, found ", first[i].num_tokens, " and ",
             second[i].num_tokens, ".");
    if (first[i].num_tokens == 0) continue;
    pairs.push_back({first[i].nll, second[i].nll, first[i].num_tokens});
  }
  return perplexity_percent(paired_difference(pairs));
}

}  // namespace longgen
