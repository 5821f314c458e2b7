// bench/load/token_stream.h: what the events of OpenAI's streams say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace longgen {

/// Numbers of tokens, as far as a server tells them.
struct TokenUsage {
  std::optional<int64_t> prompt = {}, completion = {};
  std::optional<int64_t> cached = {};  ///< of the prompt, found in a prefix cache
};

struct StreamPart {
  bool is_done = false;    ///< "[DONE]", behind which nothing comes
  bool has_text = false;   ///< of the reply, its reasoning, or of a call of a function
  bool is_finish = false;  ///< says why the reply ended
  TokenUsage usage = {};
  std::string error = {};
};

/// Reads the data of an event of a completion or a chat. Throws Error where it is none.
StreamPart read_stream_part(std::string_view data);

}  // namespace longgen
