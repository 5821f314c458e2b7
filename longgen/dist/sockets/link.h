// dist/sockets/link.h: the connection of this rank with one other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "longgen/dist/communicator.h"
#include "longgen/dist/sockets/socket.h"

namespace longgen {

/// A call of this rank, while some of its messages are under way.
struct Operation {
  CallKind kind;
  std::string name;
  int messages_left = 0;
};

/// Stands before the bytes of a message, in the byte order of the machines, which is the same.
struct MessageHead {
  uint64_t num_bytes = 0;
  uint64_t number = 0;  ///< of the messages in this direction, from 0
  uint32_t kind = 0;
  std::array<char, Communicator::kMaxNameSize + 1> name = {};  ///< ends with a 0
  uint32_t unused = 0;
};
static_assert(sizeof(MessageHead) == 88);

/// Messages go and come in the order in which they were queued. What comes before a receive is
/// queued stays in the system. Nothing blocks.
class Link {
 public:
  Link(Socket socket, int peer) : socket_(std::move(socket)), peer_(peer) {}

  void send(ConstBytes bytes, const std::shared_ptr<Operation>& operation);
  void receive(Bytes bytes, const std::shared_ptr<Operation>& operation);

  int fd() const { return socket_.fd(); }
  int peer() const { return peer_; }
  bool writes() const { return !sends_.empty(); }
  bool reads() const { return !receives_.empty(); }
  /// Move what can be moved now, and count down the calls whose messages are through. Throw
  /// RankLost where the other end has closed, and Error where it makes another call.
  void write();
  void read();

 private:
  struct Message {
    std::shared_ptr<Operation> operation;
    MessageHead head;
    ConstBytes sent;
    Bytes received;
    size_t done = 0;  // bytes, the head's among them
  };
  static Message make_message(const std::shared_ptr<Operation>& operation, size_t num_bytes,
                              uint64_t number);
  /// Counts `count` bytes of the first message; true when it is through.
  static bool advance(std::deque<Message>& messages, size_t count);
  void check_head(const Message& expected) const;
  [[noreturn]] void fail(const Message& message, int error) const;

  Socket socket_;
  int peer_;
  std::deque<Message> sends_, receives_;
  uint64_t num_sent_ = 0, num_received_ = 0;  // messages queued so far
  MessageHead incoming_;                      // as far as it was read
};

}  // namespace longgen
