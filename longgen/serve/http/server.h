// serve/http/server.h: an HTTP/1.1 server: connections, limits, API keys, streams of events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "longgen/serve/http/exchange.h"
#include "longgen/serve/http/options.h"

namespace longgen::http {

/// Listens from its construction on and gives every request to the handler, on threads of its own
/// (io_threads), one request of a connection at a time. What is malformed, too large, too slow or
/// without a key it answers itself, with OpenAI's error object.
class Server {
 public:
  /// Throws Error saying what to do where it cannot listen.
  Server(ServerOptions options, Handler handler);
  /// Stops at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;             ///< the one it has, also where any was asked for
  std::string address() const;  ///< "127.0.0.1:8000", "[::1]:8000"
  int64_t num_connections() const;

  /// Takes no new connections, closes those that ask for nothing, lets requests that have begun end
  /// within so many seconds, and cuts off the others (on_gone). Returns when all of that is done
  /// and no handler or watcher runs or will run; not to be called by one of these. Exchanges may
  /// outlive it. Once is enough: later calls return when the first has.
  void stop(double seconds);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace longgen::http
