// bench/load/request_form.h: how a request is written, as far as the server understands it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/choice.h"
#include "longgen/bench/client/http_client.h"
#include "longgen/bench/load/token_stream.h"

namespace longgen {

enum class Endpoint { completions, chat };
inline constexpr Choice<Endpoint, 2> kEndpoints{
    {{{"completions", Endpoint::completions}, {"chat", Endpoint::chat}}}};

struct RequestForm {
  Endpoint endpoint = Endpoint::completions;
  std::string model = {};
  // Fields that not every server knows.
  bool ignore_eos = true, min_tokens = true;
  bool usage = true;             ///< stream_options.include_usage
  bool continuous_usage = true;  ///< stream_options.continuous_usage_stats, in each event

  std::string path() const;
  /// A greedy stream of as many tokens. `prompt` is JSON: a text, or for completions a list of ids.
  std::string body(const std::string& prompt, int64_t reply_tokens) const;
};

struct Negotiated {
  RequestForm form;
  std::vector<std::string> refused;  ///< fields that the server does not know
  TokenUsage usage;                  ///< of the request that it took
};

/// Asks for one token, and leaves out the fields that the server refuses with a status of 400 or
/// 422, until it answers. Throws Error with the server's message where it refuses what is left.
Negotiated negotiate(HttpClient& client, RequestForm form, const std::string& prompt);

/// The tokens that the server counts in a text, with all that it puts around it: the usage of a
/// reply of one token. Throws Error where it says none.
int64_t count_by_usage(HttpClient& client, const RequestForm& form, const std::string& text);

/// A text of a server's without what a terminal would act on: control characters become '?'.
std::string visible(std::string text);

/// The message of an error answer, shortened: OpenAI's error object, or the body's beginning.
std::string error_message(const std::string& body);

}  // namespace longgen
