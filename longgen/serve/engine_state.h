// serve/engine_state.h: how the engine of a server is, for those who only look.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/kv_cache/page_demand.h"
#include "longgen/serve/schedule/page_ledger.h"
#include "longgen/serve/schedule/request_queue.h"

namespace longgen {

enum class EnginePhase {
  calibrating,  ///< steps are measured; requests wait
  ready,
  draining,  ///< takes no new requests
  failed,    ///< does nothing any more
};

/// A request that has begun.
struct RunningRequest {
  RequestId id;
  int64_t prompt_tokens;
  int64_t hit_tokens;        ///< that were found in the prefix cache
  int64_t num_tokens;        ///< in its pages
  int64_t generated_tokens;  ///< none: it is in its prefill
  double remaining_seconds;  ///< of the prefill, as predicted
  int64_t max_new_tokens;    ///< that it may generate
  int64_t reserved_pages;    ///< of its own that it may come to hold
  bool is_paused;            ///< its client reads too slowly
  bool is_swapped = false;   ///< its pages are on the host
};

/// Of requests that wait so many are named.
inline constexpr int64_t kMostWaitingNamed = 32;

/// Counts of tokens and steps grow from the start of the process.
struct EngineState {
  EnginePhase phase = EnginePhase::calibrating;
  std::string failure = {};  ///< why it failed

  std::vector<RunningRequest> running = {};         ///< paused ones among them
  std::vector<RequestQueue::Outlook> waiting = {};  ///< the first ones
  int64_t num_running = 0, num_waiting = 0;
  int64_t num_swapped = 0;      ///< of the running ones
  int64_t num_preemptions = 0;  ///< how often pages of one went to the host; grows

  int64_t page_bytes = 0;
  // In pages; those in use are at most the reserved and the cached ones together.
  int64_t capacity = 0, reserved = 0, cached = 0, in_use = 0;
  PageKinds cached_kinds = {};
  PageKinds own_kinds = {};  ///< of those in use, the ones that the prefix cache does not own
  /// What the host keeps of prefixes, in pages of the same size.
  int64_t host_capacity = 0;
  PageKinds host_kinds = {};
  /// What running requests read, between two steps: a page that several of them read, or the cache
  /// owns, too, is counted for each.
  PageKinds read_kinds = {};
  /// What the same tokens would take, in bytes, if all layers were full.
  int64_t full_bytes = 0;

  /// Tokens of prompts that were looked up in the prefix cache, and those found there.
  int64_t queried_tokens = 0, hit_tokens = 0;
  int64_t host_hit_tokens = 0;  ///< of those found, the ones that came back from the host
  int64_t pages_to_host = 0, pages_to_device = 0;  ///< that were copied
  int64_t prompt_tokens = 0;  ///< of requests that have begun, those found included
  int64_t generated_tokens = 0;
  int64_t num_steps = 0;
  double step_budget_seconds = 0;  ///< that prompts may add to a step with decoders
  /// Of all steps together.
  double predicted_seconds = 0, measured_seconds = 0;
};

}  // namespace longgen
