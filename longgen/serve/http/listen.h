// serve/http/listen.h: sockets of the system that wait for connections.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace longgen::http {

struct ListeningSocket {
  int fd = -1;  ///< does not block, closed in programs that this one runs; the caller's to close
  int port = 0;
  bool is_ipv6 = false;
  std::string address = {};  ///< as in a URL: "127.0.0.1:8000", "[::1]:8000"
};

/// Listens on a port of an address of this machine; port 0 takes a free one. Of a name with
/// addresses of both kinds it takes the IPv4 one. Throws Error saying what to do where the host is
/// no such address and where the port is in use or not allowed.
ListeningSocket listen_on(const std::string& host, int64_t port);

struct AcceptedSocket {
  int fd;              ///< as above; what is sent leaves at once (TCP_NODELAY)
  std::string client;  ///< "127.0.0.1:54321"
};

enum class NoSocket {
  none_waits,
  try_later,  ///< one may wait, but the system has no file or memory left for it
};

/// Returns the next connection that waits, or says why there is none.
std::optional<AcceptedSocket> accept_from(int listening_fd, NoSocket& why);

/// Raises this process's limit of open files to `num_files`, as far as the system lets it.
void allow_open_files(int64_t num_files);

}  // namespace longgen::http
