// bench/load/load_plan.h: which requests come when.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/bench/load/length_mix.h"
#include "longgen/bench/load/planned_request.h"

namespace longgen {

struct LoadPlanOptions {
  int64_t num_requests = 1;
  /// Requests a second on average, with exponential times between them (a Poisson process); without
  /// it all are due at once.
  std::optional<double> rate = {};
  /// Tokens before each prompt that it shares with others of its group; groups take turns.
  int64_t shared_prefix_tokens = 0;
  int64_t num_groups = 1;
  uint64_t seed = 0;  ///< of arrivals, lengths and prompts
};

/// Plans a load; the same options give the same one. Due times ascend.
std::vector<PlannedRequest> plan_load(const LengthMix& mix, const LoadPlanOptions& options);

struct TraceOptions {
  double speed = 1;          ///< 2: twice as fast as it was
  int64_t max_requests = 0;  ///< the first ones of it; 0: all
  uint64_t seed = 0;         ///< of prompts
};

/// Tokens that a number of hash_ids stands for.
inline constexpr int64_t kTraceBlock = 512;

/// Reads a trace as Mooncake publishes them (github.com/kvcache-ai/Mooncake, FAST25-release/traces)
/// and as vLLM replays them: a line of JSON for each request with `timestamp` in milliseconds,
/// ascending, `input_length` and `output_length` in tokens, and `hash_ids`, a number for each 512
/// tokens of the prompt: where two prompts have the same numbers, they have the same tokens.
/// Without hash_ids a prompt shares nothing. The first request is due at once. Throws Error naming
/// the line on anything else, other keys too: nothing that a trace says is left out silently.
std::vector<PlannedRequest> parse_trace(std::string_view text, const std::string& source,
                                        const TraceOptions& options);
std::vector<PlannedRequest> read_trace(const fs::path& file, const TraceOptions& options);

}  // namespace longgen
