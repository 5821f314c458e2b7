// serve/http/options.h: what an HTTP server is told.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longgen/serve/http/access_log.h"
#include "longgen/serve/http/api_keys.h"

namespace longgen::http {

/// What a client may take, in bytes and time. What is beyond is answered with the status that is
/// named, and closed.
struct Limits {
  int64_t connections = 1024;                   ///< at once (503)
  int64_t header_bytes = 16 << 10;              ///< of a request line and its headers (431)
  int64_t body_bytes = 64 << 20;                ///< of one request (413)
  int64_t all_bodies_bytes = int64_t{1} << 30;  ///< of all that are read or answered now (503)
  double header_seconds = 10;                   ///< from the connection or a first byte on (408)
  double body_seconds = 10;                     ///< in each such time of reading a body
  int64_t body_bytes_per_second = 1024;         ///< must come on average (408)
  double idle_seconds = 75;                     ///< between requests of a connection
  double write_seconds = 30;                    ///< in which some byte must be taken: else gone
  double linger_seconds = 2;                    ///< in which a client may read why it is closed
  int64_t high_mark_bytes = 256 << 10;          ///< unwritten bytes of a slow reader (on_full)
  int64_t low_mark_bytes = 64 << 10;            ///< those at which it goes on (on_drained)
};

struct ServerOptions {
  std::string host = "127.0.0.1";  ///< an address or a name of this machine; "::1" is IPv6
  int64_t port = 8000;             ///< 0 takes a free one
  int64_t io_threads = 1;
  Limits limits = {};
  double keep_awake_seconds = 15;                     ///< of silence, until a stream gets a comment
  ApiKeys keys = {};                                  ///< none: everybody may ask
  std::vector<std::string> open_paths = {"/health"};  ///< need no key
  /// Is called for each request when it has ended, on any of the io threads.
  std::function<void(const AccessRecord&)> access_log = {};
};

}  // namespace longgen::http
