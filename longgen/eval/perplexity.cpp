#include "longgen/eval/perplexity.h"

#include <algorithm>
#include <span>

#include "longgen/engine/score.h"

namespace longgen {

PositionBuckets measure_perplexity(const Decoder& decoder,
                                   const std::vector<std::vector<int32_t>>& documents,
                                   const PerplexityOptions& options) {
  PositionBuckets buckets(options.edges);
  const auto longest = static_cast<size_t>(options.edges.back());
  Session session(decoder, options.chunk);
  int64_t done = 0;
  bool goes_on = true;
  for (const std::vector<int32_t>& document : documents) {
    const auto ids = std::span(document).first(std::min(document.size(), longest));
    if (ids.empty()) continue;
    const auto on_progress = [&](int64_t tokens) {
      goes_on = options.on_progress(done + tokens);
      return goes_on;
    };
    const TokenScores scores = score_tokens(session, ids, {.on_progress = on_progress});
    if (!goes_on) break;
    done += static_cast<int64_t>(ids.size());
    buckets.add(1, scores.logprobs);
    buckets.end_document();
  }
  return buckets;
}

}  // namespace longgen
