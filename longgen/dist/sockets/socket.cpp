#include "longgen/dist/sockets/socket.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Between two trials to connect to a rank that does not listen yet.
constexpr milliseconds kRetry{50};

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses resolve(const Endpoint& where, int type, int flags) {
  addrinfo wanted = {};
  wanted.ai_socktype = type;
  wanted.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &wanted, &found);
  LG_CHECK(error == 0, "host \"", where.host, "\": ", ::gai_strerror(error),
           ". Expected the name or the address of the machine where rank 0 runs (MASTER_ADDR).");
  return {found, &::freeaddrinfo};
}

std::string numeric_host(const sockaddr* address, socklen_t size) {
  char host[NI_MAXHOST];
  const int error = ::getnameinfo(address, size, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  LG_CHECK(error == 0, "an address of this machine cannot be read: ", ::gai_strerror(error), ".");
  return host;
}

Socket open_socket(const addrinfo& address, int type) {
  return Socket(::socket(address.ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/// Messages are sent at once, however small; a machine that is gone without a word is found out
/// when a connection has been silent for half a minute.
void prepare(const Socket& socket) {
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(socket.fd(), level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

bool wait_for(const Socket& socket, short events, Deadline deadline) {
  while (steady_clock::now() < deadline) {
    pollfd entry{socket.fd(), events, 0};
    if (::poll(&entry, 1, milliseconds_until(deadline)) > 0) return true;
  }
  return false;
}

/// One trial; 0, or the reason why not.
int try_connect(const addrinfo& address, Deadline deadline, Socket& connected) {
  Socket socket = open_socket(address, SOCK_STREAM);
  if (!socket.is_open()) return errno;
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    if (!wait_for(socket, POLLOUT, deadline)) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error;
  }
  prepare(socket);
  connected = std::move(socket);
  return 0;
}

[[noreturn]] void fail_to_listen(const Endpoint& where, int error) {
  if (error == EADDRINUSE) {
    LG_FAIL(where.text(),
            ": another program listens there, perhaps another run. Set MASTER_PORT to a free "
            "port, the same for all ranks.");
  }
  if (error == EADDRNOTAVAIL) {
    LG_FAIL(where.text(),
            ": this is no address of the machine where rank 0 runs. Set MASTER_ADDR to one.");
  }
  LG_FAIL(where.text(), ": cannot be listened at: ", std::strerror(error), ".");
}

/// Moves bytes by transfer(), which is recv() or send().
template <typename Span, typename Transfer>
bool move_all(const Socket& socket, Span bytes, short events, Deadline deadline,
              const Transfer& transfer) {
  while (!bytes.empty()) {
    if (!wait_for(socket, events, deadline)) return false;
    const ssize_t count = transfer(bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<size_t>(count));
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
      return false;
    }
  }
  return true;
}

}  // namespace

int milliseconds_until(Deadline deadline, int most) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, most));
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

std::string Endpoint::text() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Socket listen_at(const Endpoint& where) {
  const Addresses addresses = resolve(where, SOCK_STREAM, AI_PASSIVE);
  Socket socket = open_socket(*addresses, SOCK_STREAM);
  if (!socket.is_open()) fail_to_listen(where, errno);
  const int on = 1;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.fd(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      ::listen(socket.fd(), SOMAXCONN) != 0) {
    fail_to_listen(where, errno);
  }
  return socket;
}

int port_of(const Socket& listener) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  ::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

Socket connect_to(const Endpoint& where, Deadline deadline) {
  const Addresses addresses = resolve(where, SOCK_STREAM, 0);
  int error = ETIMEDOUT;
  do {
    for (const addrinfo* address = addresses.get(); address; address = address->ai_next) {
      Socket connected;
      error = try_connect(*address, deadline, connected);
      if (error == 0) return connected;
    }
    std::this_thread::sleep_for(
        std::min<steady_clock::duration>(kRetry, deadline - steady_clock::now()));
  } while (steady_clock::now() < deadline);
  LG_FAIL(where.text(), ": cannot be connected to: ", std::strerror(error), ".");
}

std::optional<Socket> accept_one(const Socket& listener) {
  Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.is_open()) return std::nullopt;
  prepare(socket);
  return socket;
}

bool read_all(const Socket& socket, std::span<std::byte> bytes, Deadline deadline) {
  return move_all(socket, bytes, POLLIN, deadline,
                  [&](std::byte* data, size_t size) { return ::recv(socket.fd(), data, size, 0); });
}

bool write_all(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline) {
  return move_all(socket, bytes, POLLOUT, deadline, [&](const std::byte* data, size_t size) {
    return ::send(socket.fd(), data, size, MSG_NOSIGNAL);
  });
}

std::string address_of_interface(const std::string& name) {
  ifaddrs* list = nullptr;
  LG_CHECK(::getifaddrs(&list) == 0,
           "the network interfaces of this machine cannot be listed: ", std::strerror(errno), ".");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  std::vector<std::string> names;
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family) continue;
      if (std::ranges::find(names, entry->ifa_name) == names.end()) {
        names.emplace_back(entry->ifa_name);
      }
      if (name != entry->ifa_name) continue;
      return numeric_host(entry->ifa_addr,
                          family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    }
  }
  LG_FAIL("--rank-interface: expected an interface of this machine with an address (",
          listed_names(names), "), found \"", name, "\".");
}

std::string address_towards(const Endpoint& host) {
  const Addresses addresses = resolve(host, SOCK_DGRAM, 0);
  // Connecting a datagram socket sends nothing: the system looks up the route.
  const Socket socket = open_socket(*addresses, SOCK_DGRAM);
  sockaddr_storage own = {};
  socklen_t size = sizeof own;
  LG_CHECK(socket.is_open() &&
               ::connect(socket.fd(), addresses->ai_addr, addresses->ai_addrlen) == 0 &&
               ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&own), &size) == 0,
           host.host, ": cannot be reached from this machine: ", std::strerror(errno), ".");
  return numeric_host(reinterpret_cast<const sockaddr*>(&own), size);
}

}  // namespace longgen
