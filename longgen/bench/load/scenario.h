// bench/load/scenario.h: what a long prompt does to those that are being answered, and they to it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "longgen/base/json.h"
#include "longgen/bench/load/distribution.h"
#include "longgen/bench/load/request_runner.h"

namespace longgen {

struct ScenarioOptions {
  int64_t decoders = 8;          ///< replies that are written at once
  int64_t prompt_tokens = 6144;  ///< of the long prompt
  int64_t context = 64;          ///< tokens of a decoder's prompt
  int64_t steps = 64;            ///< tokens of each decoder that are measured undisturbed
  int64_t reply_tokens = 4096;   ///< of a decoder at most: it must not end while it is watched
  int64_t short_tokens = 64;     ///< of the short prompt
  uint64_t seed = 0;
  std::function<bool()> stops = [] { return false; };

  /// Reads "decoders:8,prompt:128K", with context:, steps:, reply: and short: where they are not as
  /// usual. Throws Error on anything else.
  static ScenarioOptions parse(std::string_view text);

  /// Those that need most of a context.
  std::vector<PlannedRequest> longest_requests() const;
};

struct ScenarioResult {
  ScenarioOptions options;
  double single_tokens_per_s = 0, together_tokens_per_s = 0;
  Distribution undisturbed = {};  ///< gaps of all decoders together
  double cold_seconds = 0;        ///< first token of the long prompt, when nothing else runs
  double warm_seconds = 0;        ///< the same prompt again, with 64 new tokens behind it
  std::optional<int64_t> warm_cached_tokens = {};
  double beside_seconds = 0;    ///< another prompt as long, beside the decoders
  Distribution disturbed = {};  ///< gaps of the decoders meanwhile
  double short_seconds = 0;     ///< first token of a short prompt, when nothing else runs
  double behind_seconds = 0;    ///< the same behind a long prompt
  // As the server says, over all of it:
  std::optional<double> step_budget_seconds = {};
  std::optional<double> predicted_over_measured = {}, share_predicted_well = {};

  /// What a gap may be: the budget and an undisturbed step (its median).
  std::optional<double> longest_gap() const;
};

/// Measures them one after the other, with prompts that the server has not seen. Throws Error where
/// a request fails, a decoder ends too early, or it is to stop.
ScenarioResult run_scenario(HttpClient& client, RequestRunner& runner,
                            const ScenarioOptions& options);

std::string to_text(const ScenarioResult& result);
OrderedJson to_json(const ScenarioResult& result);

}  // namespace longgen
