// serve/served_request.h: what the engine keeps of a request beside its prompt and pages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "longgen/engine/engine.h"
#include "longgen/serve/engine_messages.h"
#include "longgen/serve/metrics/request_metrics.h"

namespace longgen {

struct ServedRequest {
  /// Throws Error on options of sampling that are out of range.
  explicit ServedRequest(const DrawOptions& options) : draw(options), sampler(options.sampling) {}

  /// Draws the next token and appends it to `generated`. Throws Error as Sampler::next().
  void draw_token(std::span<const int32_t> prompt, std::span<const float> logits_V);
  /// Is the last token one that ends the reply?
  bool has_stopped() const;
  /// The first `count` tokens of prompt and reply.
  std::vector<int32_t> first_tokens(std::span<const int32_t> prompt, int64_t count) const;

  DrawOptions draw;
  Sampler sampler;
  RequestTimes times = {};
  std::optional<SequenceId> sequence = {};  ///< once it has begun
  int64_t hit_tokens = 0;                   ///< found in the prefix cache
  std::vector<int32_t> generated = {};
};

}  // namespace longgen
