// bench/client/http_client.h: many HTTP calls at once, on one thread, with the time at which bytes
// came.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/bench/client/response_reader.h"
#include "longgen/bench/client/url.h"

namespace longgen {

using TimePoint = std::chrono::steady_clock::time_point;

struct HttpCall {
  std::string method = "GET", path = {};  ///< the path behind that of the URL
  std::string body = {};                  ///< JSON, or nothing
};

/// Why there was no whole answer.
enum class CallFault { none, connect, timeout, torn, malformed, cancelled };

/// What hears of a call, in this order; on the thread that runs the client.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void on_head(const ResponseHead& head) = 0;
  /// `now` was taken when the bytes had come, before anything looked at them.
  virtual void on_body(std::string_view bytes, TimePoint now) = 0;
  /// `message` says more of a fault.
  virtual void on_end(CallFault fault, const std::string& message, TimePoint now) = 0;
};

struct HttpAnswer {
  ResponseHead head;
  std::string body;
};

/// Each call has a connection of its own, which is closed behind it. Not thread-safe: calls are
/// begun by whoever runs it, or from within a handler.
class HttpClient {
 public:
  struct Options {
    /// A call that hears nothing for so long has failed.
    double timeout_seconds = 600;
    /// Sent with each call, beside Host, Content-Type and the like.
    std::vector<std::pair<std::string, std::string>> headers = {};
  };
  using CallId = int64_t;

  /// Looks the host's name up. Throws Error where it has no address.
  HttpClient(const ServerUrl& url, Options options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  CallId call(HttpCall call, std::shared_ptr<CallHandler> handler);
  /// Closes the connection; the handler hears of CallFault::cancelled. A call that has ended may be
  /// cancelled, too.
  void cancel(CallId id);
  void cancel_all();
  /// Does something at a time, or at once where it has passed, in place of what the last call
  /// wanted.
  void wake_at(TimePoint time, std::function<void()> what);
  void wake_never();
  /// Runs calls until `is_done` says so, which is asked after whatever happens, and at
  /// least every tenth of a second. Returns, too, when nothing is left to wait for.
  void run_until(const std::function<bool()>& is_done);

  /// Makes one call and waits for its answer, whatever its status. Throws Error where there is
  /// none.
  HttpAnswer ask(HttpCall call);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace longgen
