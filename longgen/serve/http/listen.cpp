#include "longgen/serve/http/listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "longgen/base/check.h"

namespace longgen::http {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

// Text that waits in the system and was not sent once: as much as this, not the megabytes that it
// would grow to. What a slow reader leaves is then seen here soon.
constexpr int kUnsentBytes = 128 << 10;

void set(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

AddressList find_addresses(const std::string& host, int64_t port) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  LG_CHECK(error == 0, "host \"", host,
           "\": expected an address or a name of this machine, such as 127.0.0.1, ::1 or 0.0.0.0: ",
           ::gai_strerror(error), ".");
  return {found, &::freeaddrinfo};
}

// "localhost" has one address of each kind. Who asks for ::1 first goes on to 127.0.0.1; who asks
// for 127.0.0.1 asks for nothing else.
const addrinfo& preferred(const addrinfo& addresses) {
  for (const addrinfo* address = &addresses; address; address = address->ai_next) {
    if (address->ai_family == AF_INET) return *address;
  }
  return addresses;
}

std::string address_text(const sockaddr* address, socklen_t size) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getnameinfo(address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  const bool is_ipv6 = address->sa_family == AF_INET6;
  return (is_ipv6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
}

[[noreturn]] void fail_to_listen(int error, const std::string& host, int64_t port) {
  const std::string where = "port " + std::to_string(port) + " of " + host + ": ";
  if (error == EADDRINUSE) {
    LG_FAIL(where,
            "another program has it. Stop that one, or choose another port; port 0 takes a "
            "free one.");
  }
  if (error == EACCES) {
    LG_FAIL(where, "this user may not take it. Ports from 1024 on need no permission.");
  }
  if (error == EADDRNOTAVAIL) {
    LG_FAIL(where,
            "this is no address of this machine. 127.0.0.1 serves this machine alone, 0.0.0.0 "
            "all that reach it.");
  }
  LG_FAIL(where, "cannot be listened on: ", std::strerror(error), ".");
}

}  // namespace

ListeningSocket listen_on(const std::string& host, int64_t port) {
  LG_CHECK(!host.empty(), "host: expected an address such as 127.0.0.1, found nothing.");
  LG_CHECK(port >= 0 && port <= 65535, "port: expected 0 to 65535, found ", port, ".");
  const AddressList addresses = find_addresses(host, port);
  const addrinfo& address = preferred(*addresses);
  const int fd =
      ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) fail_to_listen(errno, host, port);
  // A server that starts again need not wait for connections of the one before to be forgotten.
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // "::" serves IPv4 as well, whatever the system's default.
  if (address.ai_family == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(fd, address.ai_addr, address.ai_addrlen) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    ::close(fd);
    fail_to_listen(error, host, port);
  }
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  const bool is_ipv6 = bound.ss_family == AF_INET6;
  const int bound_port = ntohs(is_ipv6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                       : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return {fd, bound_port, is_ipv6, address_text(reinterpret_cast<sockaddr*>(&bound), size)};
}

std::optional<AcceptedSocket> accept_from(int listening_fd, NoSocket& why) {
  for (;;) {
    sockaddr_storage peer = {};
    socklen_t size = sizeof peer;
    auto* address = reinterpret_cast<sockaddr*>(&peer);
    const int fd = ::accept4(listening_fd, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytes);
      // A client whose machine is gone says nothing: after a minute of silence it is asked, and
      // half a minute later it counts as gone.
      set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
      set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
      set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
      set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
      return AcceptedSocket{fd, address_text(address, size)};
    }
    // The connection has gone already, or a signal came: the next one.
    if (errno == ECONNABORTED || errno == EINTR) continue;
    why = errno == EAGAIN ? NoSocket::none_waits : NoSocket::try_later;
    return std::nullopt;
  }
}

void allow_open_files(int64_t num_files) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = std::min<rlim_t>(static_cast<rlim_t>(num_files), limit.rlim_max);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace longgen::http
