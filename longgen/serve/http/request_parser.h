// serve/http/request_parser.h: the bytes of a connection to one HTTP/1 request; no sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace longgen::http {

struct RequestHead {
  std::string method, path, query;  ///< %XX of the path are decoded
  std::string authorization, traceparent, user_agent, if_none_match;
  bool is_http_1_0 = false;
  bool keeps_alive = false;       ///< the client wants to send another request afterwards
  bool expects_continue = false;  ///< it waits for "100 Continue" before it sends the body
};

struct RequestLimits {
  int64_t header_bytes;
  int64_t body_bytes;
};

/// Reads one request: HTTP/1.0 or 1.1, with a body of a named length, in chunks, or none. What two
/// readers could understand in two ways is refused and never guessed: a length beside chunks, two
/// lengths, other encodings, lines that end in LF alone, control characters.
class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Reads from the front of `bytes` and returns how many of them it is done with; the others must
  /// be given again, with more behind them. It stops where the head ends, and where the request
  /// does: the bytes behind that are of the next one. Throws openai::ApiError with the status (400,
  /// 413, 417, 431) that the client is to be told, after which nothing more can be read.
  size_t feed(std::string_view bytes);

  bool has_head() const;
  bool is_done() const;
  /// Returns what is known of the request; complete once has_head().
  const RequestHead& head() const;
  int64_t body_bytes() const;  ///< those read
  std::string take_body();

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace longgen::http
