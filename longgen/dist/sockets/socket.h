// dist/sockets/socket.h: TCP connections between ranks.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace longgen {

using Deadline = std::chrono::steady_clock::time_point;

/// Milliseconds until then for poll(), at least 0 and at most `most`.
int milliseconds_until(Deadline deadline, int most = 1000);

/// Owns a file descriptor.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// Where a rank or a store listens.
struct Endpoint {
  std::string host;  ///< a name or an address
  int port = 0;

  std::string text() const;  ///< "10.0.0.1:29500", "[::1]:29500"
};

/// Listens at an address of this machine; port 0 takes a free one. Throws Error that says what to
/// do.
Socket listen_at(const Endpoint& where);
int port_of(const Socket& listener);

/// Connects, again and again until the deadline while nobody listens there. Throws Error.
Socket connect_to(const Endpoint& where, Deadline deadline);
/// Takes a connection that waits; nullopt where none does. The result does not block.
std::optional<Socket> accept_one(const Socket& listener);

/// Reads or writes exactly so many bytes; false where the other end closed or the deadline passed.
bool read_all(const Socket& socket, std::span<std::byte> bytes, Deadline deadline);
bool write_all(const Socket& socket, std::span<const std::byte> bytes, Deadline deadline);

/// The first address of a network interface, such as "eth0". Throws Error naming those there are.
std::string address_of_interface(const std::string& name);
/// The address of this machine from which packets go to a host.
std::string address_towards(const Endpoint& host);

}  // namespace longgen
