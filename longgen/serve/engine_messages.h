// serve/engine_messages.h: what the engine's thread is told, and what it tells. A request is named
// by its number everywhere; no thread holds another one's objects.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "longgen/engine/sampler.h"
#include "longgen/engine/token_logprobs.h"
#include "longgen/grammar/grammar.h"
#include "longgen/serve/schedule/cache_keeper.h"

namespace longgen {

/// How the tokens of a request are drawn, and what is told of them.
struct DrawOptions {
  SamplingOptions sampling = {};
  std::vector<int32_t> stop_tokens = {};  ///< each ends the reply, from min_tokens on
  int64_t min_tokens = 0;                 ///< before as many, no stop token is drawn
  /// Log probabilities of a drawn token and of as many best ones; they are those of the model,
  /// before penalties, bias, grammar, temperature and filters.
  std::optional<int64_t> num_logprobs = {};
  /// The same of the prompt's tokens; such a request must not read prefixes.
  std::optional<int64_t> num_prompt_logprobs = {};
  bool tells_progress = false;  ///< of the prefill
  /// What the reply must be; it ends where that is complete, by one of the stop tokens, of which
  /// there is one at least. min_tokens is 0.
  std::shared_ptr<const Grammar> grammar = {};
};

/// Begins a request, which the engine answers with events up to an ended, rejected or failed one.
struct Submit {
  Request request;
  DrawOptions draw;
};
/// Ends a request in whatever phase, with an ended event if it is still there. For a reply that a
/// stop string has ended, `keeps_prefix` leaves what was computed in the prefix cache.
struct Cancel {
  RequestId request;
  bool keeps_prefix = false;
};
/// A paused request keeps its pages and is in no step.
struct Pause {
  RequestId request;
};
struct Resume {
  RequestId request;
};
using EngineMessage = std::variant<Submit, Cancel, Pause, Resume>;

/// The prefill has begun; as many tokens of the prompt were found in the prefix cache.
struct RequestBegan {
  int64_t cached_tokens;
};
struct RequestProgress {
  int64_t done_tokens;       ///< of the prompt, those found included
  double remaining_seconds;  ///< until the first token, as predicted
};
/// Of tokens 1, 2, ... of the prompt, a chunk at a time: the first one is predicted by nothing.
struct PromptLogprobs {
  std::vector<TokenLogprobs> places;
};
struct TokenDrawn {
  int32_t token;
  std::optional<TokenLogprobs> logprobs;
};
enum class RequestEnd { stop_token, length, cancelled };
struct RequestEnded {
  RequestEnd end;
};
/// The request never began, because the queue is full.
struct RequestRejected {
  double retry_after_seconds;
};
/// The request ended by a fault of the server.
struct RequestFailed {
  std::string message;
};

/// What happened to a request; a stop token is drawn (TokenDrawn) before it ends.
struct EngineEvent {
  RequestId request;
  std::variant<RequestBegan, RequestProgress, PromptLogprobs, TokenDrawn, RequestEnded,
               RequestRejected, RequestFailed>
      what;
};

}  // namespace longgen
