// dist/sockets/socket_communicator.h: ranks on CPUs, connected by TCP.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "longgen/dist/communicator.h"
#include "longgen/dist/sockets/link.h"

namespace longgen {

/// Every rank has a connection with every other one (connect_all()). Messages move while a call is
/// started and while one is waited for, all of them in one poll loop; there is no thread behind it.
/// After the first error nothing moves any more, and every call throws that error.
class SocketCommunicator : public Communicator {
 public:
  /// connections[r] leads to rank r; the one of `rank` itself is not open. A wait() that lasts
  /// longer than call_timeout throws.
  SocketCommunicator(int rank, std::vector<Socket> connections,
                     std::chrono::milliseconds call_timeout);
  ~SocketCommunicator() override;
  SocketCommunicator(const SocketCommunicator&) = delete;
  SocketCommunicator& operator=(const SocketCommunicator&) = delete;

  int rank() const override { return rank_; }
  int num_ranks() const override { return static_cast<int>(links_.size()) + 1; }

  /// By any thread: lets the wait() under way, and all calls from now on, throw an Error with this
  /// message, or RankLost where a rank is named. The first one counts.
  void abort(const std::string& message, std::optional<int> lost_rank = std::nullopt);
  /// By any thread: a rank that has closed its connection, if one has. Does not wait.
  std::optional<int> closed_rank() const;
  /// From now on ranks may close their connections: the last call is about to be made.
  void let_leave() { may_leave_ = true; }

 protected:
  Pending start(Call call) override;

 private:
  class Work;

  Link& link(int peer);
  void wait(const Operation& operation);
  void move_messages(Deadline deadline, const Operation& operation);
  void move_ready(const std::vector<pollfd>& entries);
  [[noreturn]] void fail_late(const Operation& operation) const;
  void throw_if_aborted() const;

  int rank_;
  std::vector<Link> links_;  // to the other ranks, in their order
  std::chrono::milliseconds call_timeout_;
  Socket wake_;  // an eventfd: abort() wakes the poll loop
  std::atomic<bool> may_leave_ = false, aborted_ = false;
  mutable std::mutex mutex_;
  std::string abort_message_;
  std::optional<int> abort_rank_;
};

}  // namespace longgen
