// serve/http/response_head.h: what stands before and around the bytes of an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/serve/http/exchange.h"

namespace longgen::http {

struct ResponseHead {
  int status = 200;
  std::string content_type = {};
  Headers headers = {};
  std::optional<int64_t> length = {};  ///< of the body; none: a stream
};

/// How the client that asked wants the answer.
struct ResponseForm {
  bool is_http_1_0 = false;
  bool is_head = false;      ///< the answer to HEAD has no body
  bool keeps_alive = false;  ///< another request may follow

  bool is_chunked(const ResponseHead& head) const {
    return !head.length && !is_http_1_0 && !is_head;
  }
};

/// Writes the status line, the headers and the empty line behind them. Control characters in values
/// become spaces, so that no text can begin a header of its own.
std::string written_head(const ResponseHead& head, const ResponseForm& form);

/// Makes a chunk of the bytes (of none: nothing), with the end of all chunks where it is the last
/// one: what goes before them is returned, what goes behind them appended.
std::string make_chunk(std::string& bytes, bool is_last);

}  // namespace longgen::http
