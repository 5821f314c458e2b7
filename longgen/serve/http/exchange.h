// serve/http/exchange.h: a request that came over HTTP, and the way back to who sent it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace longgen::http {

struct HttpRequest {
  std::string method;                   ///< "GET", "POST", ...
  std::string path;                     ///< without the query; %XX of it are decoded
  std::string query;                    ///< what follows "?", as it came
  std::string body;                     ///< whole
  std::string key_name;                 ///< of the API key; empty where the server has no keys
  std::string traceparent, user_agent;  ///< headers; empty where there is none
  std::string client;                   ///< address and port, for the access log
  std::string if_none_match;            ///< a header: entity tags that the client has
};

using Headers = std::vector<std::pair<std::string, std::string>>;

/// The answer to one request. All methods may be called from any thread and never wait: what is to
/// be written is posted to the connection's thread. After the client has gone they do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  /// Gives the whole answer. Once, and neither before nor after a stream.
  virtual void answer(int status, const std::string& content_type, std::string body,
                      const Headers& headers = {}) = 0;
  /// Begins a stream of events (text/event-stream), status 200; the headers leave at once.
  virtual void begin_stream(const Headers& headers = {}) = 0;
  /// Sends text of the stream, as it is. Where nothing was sent for `keep_awake_seconds` of the
  /// server's options, the connection sends an SSE comment by itself.
  virtual void send(std::string text) = 0;
  virtual void end_stream() = 0;

  /// Adds a number to the request's line of the access log, such as ("prompt_tokens", 12); before
  /// the answer's end.
  virtual void note(const std::string& name, int64_t value) = 0;

  virtual bool is_gone() const = 0;  ///< the client has closed, or was too slow
  virtual int64_t unwritten_bytes()
      const = 0;  ///< of the stream: sent here, not yet taken by the socket

  struct Watcher {
    std::function<void()> on_gone = {};  ///< the client has gone before the answer's end
    /// Unwritten bytes have passed the high mark, and, later, fallen below the low one. Each is
    /// told once, in turns: who pauses in one and goes on in the other is never left paused.
    std::function<void()> on_full = {};
    std::function<void()> on_drained = {};
  };
  /// Sets who is told, on the connection's thread. If the client has gone already, on_gone is
  /// called here, at once. None of them may wait or throw. They are let go at the end of the
  /// answer.
  virtual void watch(Watcher watcher) = 0;
};

/// Takes a request on the connection's thread and must not wait; whoever has the exchange answers
/// when there is something to say. An ApiError that it throws is answered as such, others as 500.
using Handler = std::function<void(HttpRequest request, std::shared_ptr<Exchange> exchange)>;

}  // namespace longgen::http
