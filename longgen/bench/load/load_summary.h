// bench/load/load_summary.h: what a load came to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "longgen/bench/load/distribution.h"
#include "longgen/bench/load/goal.h"
#include "longgen/bench/load/load_run.h"

namespace longgen {

/// The kind of an error, how often it came, and what was said the first time.
struct ErrorCount {
  int64_t count = 0;
  std::string message = {};
};

/// Times are of replies that are whole; tokens are all that came.
struct LoadSummary {
  double seconds = 0;
  int64_t num_sent = 0, num_whole = 0, num_unsent = 0;
  std::map<std::string, ErrorCount> errors = {};
  Distribution first_token = {}, gap = {}, token = {}, answer = {};
  Distribution late = {};  ///< how long after its time a request was sent
  int64_t prompt_tokens = 0, reply_tokens = 0;
  std::optional<int64_t> cached_tokens = {};    ///< of prompts, where the server says so
  int64_t num_events = 0, num_wide_events = 0;  ///< with text; with more than one token
  int64_t num_short_replies = 0;                ///< that ended before they were as long as asked
  int64_t num_other_prompts = 0;                ///< that have another length than planned
  std::optional<int64_t> num_within_goal = {};
  double busy = 0;  ///< share of the time in which this program's thread worked

  double per_second(int64_t count) const {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  }
};

LoadSummary summarize(const LoadResult& result, const std::optional<Goal>& goal);

/// Seconds between the texts of each reply, in order of the replies.
std::vector<double> gaps_of(const std::vector<RequestRecord>& records);

}  // namespace longgen
