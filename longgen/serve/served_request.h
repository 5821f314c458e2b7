// serve/served_request.h: what the engine keeps of a request beside its prompt and pages.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longgen/engine/batch_drawer.h"
#include "longgen/engine/engine.h"
#include "longgen/serve/engine_messages.h"
#include "longgen/serve/metrics/request_metrics.h"

namespace longgen {

struct ServedRequest {
  /// For BatchDrawer.
  DrawSettings settings() const;
  /// Is the last token one that ends the reply?
  bool has_stopped() const;
  /// The first `count` tokens of prompt and reply.
  std::vector<int32_t> first_tokens(std::span<const int32_t> prompt, int64_t count) const;

  /// Does the form of the reply say what may be next? Not behind its end, and not once it cannot be
  /// followed, when the next token is thrown away.
  bool follows_grammar() const;
  /// The tokens that may be next; all of them without follows_grammar(). `now` gives seconds.
  AllowedTokens allowed_tokens(const std::function<double()>& now);
  /// Goes on by a token, with follows_grammar().
  void follow(int32_t token);

  DrawOptions draw;
  RequestTimes times = {};
  std::optional<SequenceId> sequence = {};  ///< once it has begun
  int64_t slot = 0;                         ///< of the drawer, from then on
  int32_t input = 0;                        ///< the token of the slot, for the next step
  int64_t hit_tokens = 0;                   ///< found in the prefix cache
  /// How many tokens its pages hold while these are on the host; `sequence` is gone then.
  std::optional<int64_t> away_tokens = {};
  std::vector<int32_t> generated = {};
  std::optional<GrammarMatcher> matcher = {};  ///< has read the tokens of steps that are known
  std::string grammar_error = {};              ///< the request fails with it
};

}  // namespace longgen
