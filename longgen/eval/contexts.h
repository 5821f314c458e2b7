// eval/contexts.h: what context buys: the same tokens, predicted from ever more text before them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "longgen/engine/session.h"
#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/perplexity_report.h"

namespace longgen {

struct ContextOptions {
  std::vector<int64_t> contexts;  ///< in tokens, ascending
  int64_t length_tokens = 0;      ///< of a document; what follows is not read
  int64_t num_targets = 0;        ///< tokens at the end of that which count
  /// Tokens that begin each document (BOS): every context begins with them and they count to it.
  int64_t num_begin_tokens = 0;
  int64_t chunk = kDefaultPrefillChunk;
  std::optional<CachePolicy> policy = {};  ///< under which contexts are read (TextScorer)
  /// Called with the number of tokens read so far; returning false ends the measurement with the
  /// documents so far.
  std::function<bool(int64_t done_tokens)> on_progress = [](int64_t) { return true; };

  /// Throws Error unless contexts ascend, the shortest is longer than its targets and begin tokens,
  /// and the longest is no longer than the documents.
  void check() const;
  /// Counts the tokens that are read of a document, over all contexts.
  int64_t tokens_of_document() const;
};

/// Reads of each document the last 1K, 2K, ... tokens (as options say) and scores the last
/// num_targets of them. Each document has at least length_tokens. Throws Error as check() does.
std::vector<ContextNll> measure_contexts(const Decoder& decoder,
                                         const std::vector<std::vector<int32_t>>& documents,
                                         const ContextOptions& options);

}  // namespace longgen
