// dist/rank_watch.h: finds out that a rank is gone, and tells the others.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "longgen/dist/cause.h"
#include "longgen/dist/sockets/socket_communicator.h"
#include "longgen/dist/store.h"

namespace longgen {

struct WatchOptions {
  /// A rank that gives no sign of life for so long counts as gone.
  std::chrono::milliseconds silence{60'000};
  /// Rank 0 serves the store: it is gone where the store is.
  bool rank_0_serves_store = false;
  /// Called, by a thread of the watch, a while after a rank was lost, when this process has not
  /// ended by itself: its thread may compute for minutes before it asks others for anything. Never
  /// called where it is empty.
  std::function<void(const std::string& message)> on_abandon;
};

/// Two threads. One writes this rank's sign of life to the store, up to once a second, and reads
/// those of the others and the cause that a rank has told. The other one looks at connections every
/// 50 ms, and at the time since each sign of life, also since the store answered. When a rank is
/// gone, it aborts the communicator, which wakes whoever waits there.
class RankWatch {
 public:
  /// Both must live as long; the store is connected to anew. All ranks have put_first_sign().
  RankWatch(const Store& store, SocketCommunicator& ranks, WatchOptions options);
  ~RankWatch();
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;

  static void put_first_sign(Store& store, int rank);

  /// Tells the store why this rank gives up. Gives the cause that was told first, by any rank;
  /// waits for the store two seconds at most, and gives `own` where it does not answer.
  Cause tell(const Cause& own);

 private:
  struct State;

  std::shared_ptr<State> state_;  // outlives this where the store hangs
  std::thread signs_, judge_;
};

}  // namespace longgen
