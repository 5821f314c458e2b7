// eval/perplexity.h: perplexity by position over long documents.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "longgen/engine/session.h"
#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/buckets.h"

namespace longgen {

struct PerplexityOptions {
  std::vector<int64_t>
      edges;  ///< of the buckets; the last is the number of tokens of a document read
  int64_t chunk = kDefaultPrefillChunk;
  std::optional<CachePolicy> policy = {};  ///< under which texts are read (TextScorer)
  /// Called with the number of tokens scored so far; returning false ends the measurement with the
  /// documents so far.
  std::function<bool(int64_t done_tokens)> on_progress = [](int64_t) { return true; };
};

/// Scores each document from its start, every token given all tokens before it (as far as the
/// layers' patterns see them), up to the last edge. The first token is not scored.
PositionBuckets measure_perplexity(const Decoder& decoder,
                                   const std::vector<std::vector<int32_t>>& documents,
                                   const PerplexityOptions& options);

}  // namespace longgen
