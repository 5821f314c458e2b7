// bench/load/load_run.h: sends the requests of a load when they are due.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "longgen/bench/load/request_runner.h"

namespace longgen {

struct LoadRunOptions {
  /// Requests that are under way at once, at most; the next one waits for an answer's end.
  std::optional<int64_t> concurrency = {};
  std::function<bool()> stops = [] { return false; };
  std::function<void(int64_t num_ended)> on_progress = [](int64_t) {};
};

struct LoadResult {
  std::vector<RequestRecord> records;  ///< of those that were sent
  double seconds = 0;                  ///< from the first request's beginning to the last one's end
  double cpu_seconds = 0;              ///< of this program's thread in that time
  int64_t num_unsent = 0;              ///< because the run was stopped
};

/// Runs a load to its end, or until it is to stop: then what is under way is ended, too.
LoadResult run_load(HttpClient& client, const RequestForm& form, const PromptMaker& prompts,
                    const std::vector<PlannedRequest>& requests, const LoadRunOptions& options);

}  // namespace longgen
