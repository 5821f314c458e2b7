// dist/rank_group.h: this process as one of the ranks of a run.
#pragma once

#include <memory>
#include <string>

#include "longgen/base/check.h"
#include "longgen/dist/rank_place.h"
#include "longgen/dist/rank_watch.h"

namespace longgen {

struct RankGroupOptions {
  WatchOptions watch;
  /// For all ranks to come.
  std::chrono::milliseconds join_time{300'000};
  /// For a call among ranks that live: one may still write a checkpoint.
  std::chrono::milliseconds call_time{3'600'000};
  /// The network interface by which the others reach this rank; "": the one that leads to the
  /// store.
  std::string interface;
};

/// Connected with all others from its construction on, and watched.
class RankGroup {
 public:
  /// Throws Error where the others cannot be reached, or do not come in time.
  RankGroup(RankPlace place, std::unique_ptr<Store> store, const RankGroupOptions& options);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  const RankPlace& place() const { return place_; }
  Communicator& communicator() { return *ranks_; }

  /// Runs what all ranks do together. Returns when all have ended it. What it throws is told to the
  /// others. Throws the Error of this rank as it is, and one that names the rank which failed first
  /// where another one did.
  template <typename Action>
  void run(const Action& action) {
    try {
      action();
      leave();
    } catch (const RankLost& lost) {
      throw_cause({lost.rank(), CauseKind::closed, ""});
    } catch (const std::exception& error) {
      tell_failure(error.what());
      throw;
    }
  }

 private:
  void leave();
  void wait_for_readers();
  void tell_failure(const std::string& message);
  void let_others_read() const;
  [[noreturn]] void throw_cause(const Cause& own);

  RankPlace place_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SocketCommunicator> ranks_;
  std::unique_ptr<RankWatch> watch_;
};

}  // namespace longgen
