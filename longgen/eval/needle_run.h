// eval/needle_run.h: a model on the grid of needle samples.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/session.h"
#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/needle.h"
#include "longgen/eval/needle_report.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct NeedleRunOptions {
  std::vector<int64_t> lengths_tokens;
  std::vector<double> depths_percent;
  int64_t num_samples = 1;  ///< of each cell
  int64_t chunk = kDefaultPrefillChunk;
  std::optional<CachePolicy> policy = {};  ///< under which prompts and replies are read
  std::vector<int32_t> stop_tokens;
  /// Called with the tokens done, of total_tokens(): while a prompt is read, at each token of a
  /// reply and after each sample, whose outcome the note says until the next one is done. Returning
  /// false ends with the cells that are complete.
  std::function<bool(int64_t done_tokens, const std::string& note)> on_progress =
      [](int64_t, const std::string&) { return true; };

  /// Adds up the lengths of all samples.
  int64_t total_tokens() const;
};

struct NeedleResult {
  std::vector<NeedleCell> cells;
  std::vector<NeedleReply> replies;  ///< of every sample, for a look at what went wrong
};

/// Makes greedy replies of at most the task's new_tokens. Same task and options: same samples.
NeedleResult run_needle(const Decoder& decoder, const Tokenizer& tokenizer, const NeedleTask& task,
                        const NeedleRunOptions& options);

}  // namespace longgen
