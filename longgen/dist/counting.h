// dist/counting.h: counts the bytes that ranks pass to each other.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "longgen/dist/communicator.h"

namespace longgen {

/// Bytes that a rank sent, without what a transport adds to them.
struct SentBytes {
  std::map<CallKind, int64_t> by_kind;
  std::map<int, int64_t> by_link;  ///< to which rank

  int64_t total() const;
};

/// Counts what one rank of `num_ranks` sends. Over another communicator it passes all calls on and
/// counts them; alone it has no data, so that bytes of any number of ranks can be counted: each
/// call ends at once, and what it would have received stays as it was.
class CountingCommunicator : public Communicator {
 public:
  CountingCommunicator(int rank, int num_ranks);
  /// `transport` must live as long.
  explicit CountingCommunicator(Communicator& transport);

  int rank() const override { return rank_; }
  int num_ranks() const override { return num_ranks_; }
  const SentBytes& sent() const { return sent_; }

 protected:
  Pending start(Call call) override;

 private:
  int rank_, num_ranks_;
  Communicator* transport_ = nullptr;
  SentBytes sent_;
};

}  // namespace longgen
