#include "longgen/dist/sockets/link.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr size_t kHeadSize = sizeof(MessageHead);

std::string describe(const MessageHead& head) {
  // What another rank sent may be no name.
  const std::string name(head.name.data(), ::strnlen(head.name.data(), head.name.size()));
  const bool known = head.kind < kCallKinds.choices.size();
  return detail::concat("\"", name, "\" (",
                        known ? kCallKinds.name(static_cast<CallKind>(head.kind)) : "no call", ", ",
                        format_count(static_cast<int64_t>(head.num_bytes), "byte"), ", message ",
                        head.number, ")");
}

}  // namespace

Link::Message Link::make_message(const std::shared_ptr<Operation>& operation, size_t num_bytes,
                                 uint64_t number) {
  Message message = {operation, {}, {}, {}};
  message.head.num_bytes = num_bytes;
  message.head.number = number;
  message.head.kind = static_cast<uint32_t>(operation->kind);
  std::ranges::copy(operation->name, message.head.name.begin());
  ++operation->messages_left;
  return message;
}

void Link::send(ConstBytes bytes, const std::shared_ptr<Operation>& operation) {
  sends_.push_back(make_message(operation, bytes.size(), num_sent_++));
  sends_.back().sent = bytes;
}

void Link::receive(Bytes bytes, const std::shared_ptr<Operation>& operation) {
  receives_.push_back(make_message(operation, bytes.size(), num_received_++));
  receives_.back().received = bytes;
}

bool Link::advance(std::deque<Message>& messages, size_t count) {
  Message& message = messages.front();
  message.done += count;
  if (message.done < kHeadSize + message.head.num_bytes) return false;
  --message.operation->messages_left;
  messages.pop_front();
  return true;
}

void Link::write() {
  while (writes()) {
    Message& message = sends_.front();
    const size_t head_done = std::min(message.done, kHeadSize);
    const size_t body_done = message.done - head_done;
    iovec parts[2] = {
        {reinterpret_cast<char*>(&message.head) + head_done, kHeadSize - head_done},
        {const_cast<std::byte*>(message.sent.data()) + body_done, message.sent.size() - body_done}};
    msghdr both = {};
    both.msg_iov = parts;
    both.msg_iovlen = 2;
    const ssize_t count = ::sendmsg(fd(), &both, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) fail(message, errno);
    // The system has taken no more: the other connections have their turn.
    if (!advance(sends_, static_cast<size_t>(count))) return;
  }
}

void Link::read() {
  while (reads()) {
    Message& message = receives_.front();
    const bool in_head = message.done < kHeadSize;
    std::byte* const to = in_head ? reinterpret_cast<std::byte*>(&incoming_) + message.done
                                  : message.received.data() + (message.done - kHeadSize);
    const size_t wanted =
        (in_head ? kHeadSize : kHeadSize + message.received.size()) - message.done;
    const ssize_t count = ::recv(fd(), to, wanted, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail(message, count < 0 ? errno : 0);
    if (in_head && message.done + static_cast<size_t>(count) == kHeadSize) check_head(message);
    const bool is_part = static_cast<size_t>(count) < wanted;
    if (!advance(receives_, static_cast<size_t>(count)) && is_part) return;
  }
}

void Link::check_head(const Message& expected) const {
  const MessageHead& own = expected.head;
  if (std::memcmp(&own, &incoming_, kHeadSize) == 0) return;
  LG_FAIL("[", expected.operation->name, "] rank ", peer_, " is at ", describe(incoming_),
          ", this rank at ", describe(own),
          ". All ranks make the same calls in the same order: these two have diverged. Please "
          "report this.");
}

void Link::fail(const Message& message, int error) const {
  const bool closed = error == 0 || error == ECONNRESET || error == EPIPE;
  throw RankLost(peer_,
                 detail::concat("[", message.operation->name, "] rank ", peer_,
                                closed ? " closed its connection"
                                       : std::string(" cannot be reached: ") + std::strerror(error),
                                "."));
}

}  // namespace longgen
