#include "longgen/eval/perplexity.h"

#include <algorithm>
#include <span>

#include "longgen/eval/text_scorer.h"

namespace longgen {

PositionBuckets measure_perplexity(const Decoder& decoder,
                                   const std::vector<std::vector<int32_t>>& documents,
                                   const PerplexityOptions& options) {
  PositionBuckets buckets(options.edges);
  const auto longest = static_cast<size_t>(options.edges.back());
  TextScorer scorer(decoder, options.chunk, options.policy);
  int64_t done = 0;
  for (const std::vector<int32_t>& document : documents) {
    const auto ids = std::span(document).first(std::min(document.size(), longest));
    if (ids.empty()) continue;
    const auto logprobs =
        scorer.score(ids, [&](int64_t tokens) { return options.on_progress(done + tokens); });
    if (!logprobs) break;
    done += static_cast<int64_t>(ids.size());
    buckets.add(1, *logprobs);
    buckets.end_document();
  }
  return buckets;
}

}  // namespace longgen
