#include "longgen/eval/contexts.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/eval/text_scorer.h"

namespace longgen {
namespace {

/// The last `context` of the first length_tokens tokens, behind the tokens that begin the document.
std::vector<int32_t> tail_of(const std::vector<int32_t>& document, int64_t context,
                             const ContextOptions& options) {
  std::vector<int32_t> ids(document.begin(), document.begin() + options.num_begin_tokens);
  ids.insert(ids.end(),
             document.begin() + options.length_tokens - context + options.num_begin_tokens,
             document.begin() + options.length_tokens);
  return ids;
}

/// Sums up -log p of the last tokens.
NllSum sum_of_targets(std::span<const float> logprobs, int64_t num_targets) {
  NllSum sum{.num_tokens = num_targets};
  for (const float logprob : logprobs.last(static_cast<size_t>(num_targets))) sum.nll -= logprob;
  return sum;
}

}  // namespace

void ContextOptions::check() const {
  LG_CHECK(!contexts.empty(), "[contexts] expected at least one, found none.");
  LG_CHECK(num_targets >= 1, "[contexts] targets: expected at least 1, found ", num_targets, ".");
  for (size_t i = 1; i < contexts.size(); ++i) {
    LG_CHECK(contexts[i] > contexts[i - 1], "[contexts] expected ascending lengths, found ",
             format_count(contexts[i]), " after ", format_count(contexts[i - 1]), ".");
  }
  // The first token of a context has no prediction.
  const int64_t shortest = std::max<int64_t>(num_begin_tokens, 1) + num_targets;
  LG_CHECK(contexts.front() >= shortest, "[contexts] the shortest: expected at least ",
           format_count(shortest), " tokens, the ", format_count(num_targets),
           " that count and what they are predicted from, found ", format_count(contexts.front()),
           ".");
  LG_CHECK(contexts.back() <= length_tokens, "[contexts] the longest: expected at most the ",
           format_count(length_tokens), " tokens of a document, found ",
           format_count(contexts.back()), ".");
}

int64_t ContextOptions::tokens_of_document() const {
  return std::accumulate(contexts.begin(), contexts.end(), int64_t{0});
}

std::vector<ContextNll> measure_contexts(const Decoder& decoder,
                                         const std::vector<std::vector<int32_t>>& documents,
                                         const ContextOptions& options) {
  options.check();
  std::vector<ContextNll> result;
  for (const int64_t context : options.contexts) result.push_back({context, {}});
  TextScorer scorer(decoder, options.chunk, options.policy);
  int64_t done = 0;
  const auto on_progress = [&](int64_t tokens) { return options.on_progress(done + tokens); };
  for (const std::vector<int32_t>& document : documents) {
    LG_CHECK(static_cast<int64_t>(document.size()) >= options.length_tokens,
             "[contexts] document: expected at least ", options.length_tokens, " tokens, found ",
             document.size(), ".");
    std::vector<NllSum> sums;
    for (const int64_t context : options.contexts) {
      const std::vector<int32_t> ids = tail_of(document, context, options);
      const auto logprobs = scorer.score(ids, on_progress);
      if (!logprobs) return result;
      sums.push_back(sum_of_targets(*logprobs, options.num_targets));
      done += context;
    }
    for (size_t i = 0; i < sums.size(); ++i) result[i].documents.push_back(sums[i]);
  }
  return result;
}

}  // namespace longgen
