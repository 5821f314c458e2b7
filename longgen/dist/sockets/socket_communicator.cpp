#include "longgen/dist/sockets/socket_communicator.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {

class SocketCommunicator::Work : public Pending::Work {
 public:
  Work(SocketCommunicator& communicator, std::shared_ptr<Operation> operation)
      : communicator_(communicator), operation_(std::move(operation)) {}

  ~Work() override {
    // Its bytes may be gone from here on.
    if (operation_->messages_left > 0) {
      communicator_.abort("[" + operation_->name + "] was given up by this rank.");
    }
  }

  void wait() override { communicator_.wait(*operation_); }

 private:
  SocketCommunicator& communicator_;
  std::shared_ptr<Operation> operation_;
};

SocketCommunicator::SocketCommunicator(int rank, std::vector<Socket> connections,
                                       std::chrono::milliseconds call_timeout)
    : rank_(rank), call_timeout_(call_timeout), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (size_t r = 0; r < connections.size(); ++r) {
    if (static_cast<int>(r) == rank) continue;
    LG_DCHECK(connections[r].is_open());
    links_.emplace_back(std::move(connections[r]), static_cast<int>(r));
  }
}

SocketCommunicator::~SocketCommunicator() = default;

Link& SocketCommunicator::link(int peer) {
  return links_[static_cast<size_t>(peer < rank_ ? peer : peer - 1)];
}

void SocketCommunicator::abort(const std::string& message, std::optional<int> lost_rank) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  abort_message_ = message;
  abort_rank_ = lost_rank;
  aborted_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = ::write(wake_.fd(), &one, sizeof one);
}

void SocketCommunicator::throw_if_aborted() const {
  if (!aborted_) return;
  const std::lock_guard lock(mutex_);
  if (abort_rank_) throw RankLost(*abort_rank_, abort_message_);
  throw Error(abort_message_);
}

std::optional<int> SocketCommunicator::closed_rank() const {
  if (may_leave_) return std::nullopt;
  std::vector<pollfd> entries;
  for (const Link& link : links_) entries.push_back({link.fd(), POLLRDHUP, 0});
  if (::poll(entries.data(), entries.size(), 0) <= 0) return std::nullopt;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].revents != 0) return links_[i].peer();
  }
  return std::nullopt;
}

Pending SocketCommunicator::start(Call call) {
  throw_if_aborted();
  auto operation = std::make_shared<Operation>(Operation{call.kind, std::move(call.name)});
  for (const Send& send : call.sends) link(send.to).send(send.bytes, operation);
  for (const Receive& receive : call.receives) {
    link(receive.from).receive(receive.bytes, operation);
  }
  auto work = std::make_unique<Work>(*this, operation);
  try {
    for (Link& link : links_) link.write();
  } catch (const RankLost& lost) {
    abort(lost.what(), lost.rank());
    throw;
  }
  return Pending(std::move(work));
}

void SocketCommunicator::wait(const Operation& operation) {
  const Deadline deadline = std::chrono::steady_clock::now() + call_timeout_;
  try {
    while (operation.messages_left > 0) {
      throw_if_aborted();
      if (std::chrono::steady_clock::now() >= deadline) fail_late(operation);
      move_messages(deadline, operation);
    }
  } catch (const RankLost& lost) {
    abort(lost.what(), lost.rank());
    throw;
  } catch (const Error& error) {
    abort(error.what());
    throw;
  }
}

void SocketCommunicator::move_messages(Deadline deadline, const Operation& operation) {
  std::vector<pollfd> entries;
  for (const Link& link : links_) {
    const int events =
        (link.reads() ? POLLIN : 0) | (link.writes() ? POLLOUT : 0) | (may_leave_ ? 0 : POLLRDHUP);
    // A descriptor below 0 is passed over: a rank that has left says so again and again.
    entries.push_back({events != 0 ? link.fd() : -1, static_cast<short>(events), 0});
  }
  entries.push_back({wake_.fd(), POLLIN, 0});
  if (::poll(entries.data(), entries.size(), milliseconds_until(deadline)) <= 0) return;
  move_ready(entries);
  for (size_t i = 0; i < links_.size(); ++i) {
    // Whoever is gone will not make the calls to come, even if this one does not need it.
    const bool gone = (entries[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    if (!gone || may_leave_ || operation.messages_left == 0) continue;
    throw RankLost(links_[i].peer(), detail::concat("[", operation.name, "] rank ",
                                                    links_[i].peer(), " closed its connection."));
  }
}

void SocketCommunicator::move_ready(const std::vector<pollfd>& entries) {
  for (size_t i = 0; i < links_.size(); ++i) {
    const short ready = entries[i].revents;
    if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0) links_[i].read();
    if ((ready & (POLLOUT | POLLHUP | POLLERR)) != 0) links_[i].write();
  }
}

void SocketCommunicator::fail_late(const Operation& operation) const {
  std::string late;
  for (const Link& link : links_) {
    if (!link.reads() && !link.writes()) continue;
    late += (late.empty() ? "" : ", ") + std::to_string(link.peer());
  }
  LG_FAIL("[", operation.name, "] rank", late.find(',') == std::string::npos ? " " : "s ", late,
          " did not take part within ",
          format_duration(std::chrono::duration<double>(call_timeout_).count()), ".");
}

}  // namespace longgen
