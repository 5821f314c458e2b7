// bench/load/request_record.h: what became of a request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/bench/load/token_stream.h"

namespace longgen {

/// Bytes of a stream that came together and held text of the reply.
struct Arrival {
  double seconds;      ///< since the clock began
  int64_t num_events;  ///< of the stream, with text
  int64_t num_tokens;  ///< by usage where the server counts in each event, else one an event
};

struct RequestRecord {
  double due = 0;  ///< seconds since the clock began, as the others
  double begun = 0, ended = 0;
  int64_t prompt_tokens = 0, reply_tokens = 0;  ///< as planned
  std::vector<Arrival> arrivals = {};
  TokenUsage usage = {};  ///< as the server counts
  int status = 0;         ///< of HTTP; 0: none came
  bool is_over = false;
  std::string error = {};    ///< its kind; empty: the reply is whole
  std::string message = {};  ///< what the server says of it

  bool is_whole() const { return is_over && error.empty(); }
  int64_t num_events() const;
  /// Of the reply, by usage or else by events.
  int64_t num_tokens() const;
  std::optional<double> first_token_seconds() const;
  double last_arrival() const { return arrivals.empty() ? ended : arrivals.back().seconds; }
  /// From one token to the next, on average; of two tokens or more.
  std::optional<double> seconds_per_token() const;
};

}  // namespace longgen
