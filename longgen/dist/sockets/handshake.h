// dist/sockets/handshake.h: two ranks prove to each other that they are of one run.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "longgen/dist/sockets/socket.h"

namespace longgen {

/// Random bytes as hex digits, the secret of a run.
std::string make_run_key();

/// Both ends draw random bytes, and answer the other's with an HMAC-SHA256 under the run's key of
/// both, the two ranks and the direction. The key is never sent, and an answer is good for one
/// connection. What follows on a connection is neither encrypted nor signed.
///
/// The end that connects. False where the other end is not rank `to` of this run, or does not
/// answer before the deadline.
bool introduce(const Socket& socket, const std::string& key, int from, int to, Deadline deadline);

/// The end that accepts. Does not block, so that a stranger who says nothing holds up nobody.
class Visitor {
 public:
  /// Sends the first message.
  Visitor(Socket socket, const std::string& key, int rank);

  int fd() const { return socket_.fd(); }
  enum class State { waits, stranger, known };
  /// Reads what has come.
  State look();
  /// The rank of a known one.
  int from() const { return from_; }
  Socket take_socket() { return std::move(socket_); }

 private:
  bool check_answer();

  static constexpr size_t kNonceSize = 16, kMacSize = 32;

  Socket socket_;
  const std::string& key_;
  int rank_, from_ = -1;
  std::array<std::byte, kNonceSize> nonce_;
  std::array<std::byte, 4 + kNonceSize + kMacSize> answer_;
  size_t num_read_ = 0;
};

}  // namespace longgen
