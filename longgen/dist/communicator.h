// dist/communicator.h: how the ranks of a run pass bytes to each other.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/base/choice.h"
#include "longgen/base/error.h"

namespace longgen {

using ConstBytes = std::span<const std::byte>;
using Bytes = std::span<std::byte>;

/// Thrown where another rank is gone: it closed its connection, or was silent for too long.
class RankLost : public Error {
 public:
  RankLost(int rank, const std::string& message) : Error(message), rank_(rank) {}
  int rank() const { return rank_; }

 private:
  int rank_;
};

/// A call under way. Its bytes must stay where they are until wait() returns or throws.
class Pending {
 public:
  /// What a make of Communicator knows of a call. Destroyed before it has ended (by an exception
  /// that passes by), it gives the call up: its bytes are not touched again, and the communicator
  /// throws from then on.
  class Work {
   public:
    virtual ~Work() = default;
    /// Returns when all bytes have come and all have gone.
    virtual void wait() = 0;
  };

  explicit Pending(std::unique_ptr<Work> work) : work_(std::move(work)) {}

  /// Waits for the end of the call. Once is enough: later calls return at once. Throws RankLost,
  /// and Error where the ranks have diverged, the time-out of a call has passed, or the
  /// communicator was aborted.
  void wait() {
    if (work_) work_->wait();
    work_.reset();
  }

 private:
  std::unique_ptr<Work> work_;
};

enum class CallKind { all_gather, all_to_all, exchange, broadcast, barrier };
inline constexpr Choice<CallKind, 5> kCallKinds = {{{{"all_gather", CallKind::all_gather},
                                                     {"all_to_all", CallKind::all_to_all},
                                                     {"exchange", CallKind::exchange},
                                                     {"broadcast", CallKind::broadcast},
                                                     {"barrier", CallKind::barrier}}}};

/// Bytes for, or of, another rank.
struct Send {
  int to = 0;
  ConstBytes bytes;
};
struct Receive {
  int from = 0;
  Bytes bytes;
};

/// All ranks make the same calls in the same order, by one thread each. A call has a name, such as
/// "step 12 gradients", which is in every error: ranks that make different calls find out and
/// throw. Several calls may be under way at once. There is no sum among the calls: sums are made by
/// the callers, in an order that does not depend on who made the parts.
class Communicator {
 public:
  static constexpr size_t kMaxNameSize = 63;  ///< bytes of a call's name

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int num_ranks() const = 0;

  /// Gives this rank's part to all: `all` has a place for the part of each rank, its own too. Parts
  /// may have different sizes, also 0; all ranks know all sizes.
  [[nodiscard]] Pending all_gather(std::string_view name, ConstBytes part,
                                   std::span<const Bytes> all);
  /// Gives parts[r] to rank r and takes received[r] from it; this rank's own part is copied. Sizes
  /// may differ, also be 0.
  [[nodiscard]] Pending all_to_all(std::string_view name, std::span<const ConstBytes> parts,
                                   std::span<const Bytes> received);
  /// Sends and receives a batch: at most one message from each rank to each other one.
  [[nodiscard]] Pending exchange(std::string_view name, std::span<const Send> sends,
                                 std::span<const Receive> receives);
  /// Gives the bytes of rank `root` to all, in the place where theirs are.
  [[nodiscard]] Pending broadcast(std::string_view name, int root, Bytes bytes);
  /// Ends when every rank has made it.
  [[nodiscard]] Pending barrier(std::string_view name);

 protected:
  /// A call as messages between different ranks, in the order of ranks.
  struct Call {
    CallKind kind;
    std::string name;
    std::vector<Send> sends;
    std::vector<Receive> receives;
  };
  virtual Pending start(Call call) = 0;
  /// For makes that stand before another one.
  static Pending pass_on(Communicator& to, Call call) { return to.start(std::move(call)); }

 private:
  Call make_call(CallKind kind, std::string_view name) const;
  int other_rank(int rank, const Call& call) const;  // after a check
};

}  // namespace longgen
