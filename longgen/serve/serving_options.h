// serve/serving_options.h: how the engine of a server works.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "longgen/engine/engine.h"
#include "longgen/engine/session.h"
#include "longgen/serve/schedule/scheduler.h"

namespace longgen {

struct ServingOptions {
  /// Without max_kv_bytes pages take what is free where the decoder is, but for a share that is
  /// left to activations.
  EngineOptions engine = {};
  SchedulerOptions schedule = {};
  int64_t max_chunk = kDefaultPrefillChunk;  ///< of a prompt, in tokens; see CacheKeeperOptions
  int64_t checkpoint_tokens = 8192;
  bool keeps_prefixes = true;
  /// Memory of the host for prefixes that the pool has no room for any more; 0: they are forgotten.
  int64_t host_cache_bytes = 0;
  double overcommit = 1;  ///< CacheKeeperOptions::overcommit
  /// Tokens from here on are never drawn: models whose vocabulary is padded beyond the tokenizer's.
  /// 0: the model's vocabulary.
  int64_t vocab_size = 0;

  /// How long steps are measured at the start, at most, if a step does not take longer.
  double calibration_seconds = 1.5;
  /// Known beforehand: nothing is measured, neither at the start nor later.
  std::optional<CostModel> cost = {};
  double copy_seconds = 0;  ///< of a page between device and host, where `cost` is known

  /// A step is launched before the tokens of the last one are looked at; a token that ends its
  /// reply costs a row of one step then. By default so on a GPU, where a launch does not wait.
  std::optional<bool> overlaps = {};

  // For tests:

  /// Seconds that only grow, asked from any thread; by default those of the steady clock.
  std::function<double()> now = {};
  /// Does a step in place of Engine::step().
  std::function<BatchResult(Engine&, std::span<const BatchPart>, const BatchOptions&)> step = {};
};

/// Fills in what depends on the machine: the clock, the most bytes of pages, the length of a chunk,
/// whether steps overlap.
/// Throws Error where the system does not say how much memory is free.
ServingOptions with_defaults(ServingOptions options, const Decoder& decoder);

}  // namespace longgen
