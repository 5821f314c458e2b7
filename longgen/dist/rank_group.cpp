#include "longgen/dist/rank_group.h"

#include <thread>

#include "longgen/dist/sockets/mesh.h"

namespace longgen {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// For the last answers of a store whose server is about to end.
constexpr seconds kLeaveTime{5};
constexpr std::chrono::milliseconds kReadTime{1500};

std::string left_key(int rank) { return "left/" + std::to_string(rank); }

std::string own_host(const RankPlace& place, const std::string& interface) {
  if (!interface.empty()) return address_of_interface(interface);
  return place.is_one_host ? "127.0.0.1" : address_towards(place.store);
}

}  // namespace

RankGroup::RankGroup(RankPlace place, std::unique_ptr<Store> store, const RankGroupOptions& options)
    : place_(std::move(place)), store_(std::move(store)) {
  RankWatch::put_first_sign(*store_, place_.rank);
  std::vector<Socket> connections =
      connect_all(*store_, place_.rank, place_.num_ranks, own_host(place_, options.interface),
                  steady_clock::now() + options.join_time);
  ranks_ =
      std::make_unique<SocketCommunicator>(place_.rank, std::move(connections), options.call_time);
  WatchOptions watch = options.watch;
  watch.rank_0_serves_store = !place_.launcher_serves;
  watch_ = std::make_unique<RankWatch>(*store_, *ranks_, std::move(watch));
}

RankGroup::~RankGroup() = default;

void RankGroup::leave() {
  ranks_->let_leave();
  ranks_->barrier("end of the run").wait();
  watch_.reset();
  try {
    store_->set(left_key(place_.rank), "");
    wait_for_readers();
  } catch (const Error&) {
    // The run is done: whoever served the store has gone.
  }
}

/// Rank 0 takes the store with it.
void RankGroup::wait_for_readers() {
  if (!place_.serves_store()) return;
  const Deadline deadline = steady_clock::now() + kLeaveTime;
  for (int r = 0; r < place_.num_ranks; ++r) store_->get(left_key(r), deadline);
}

void RankGroup::tell_failure(const std::string& message) {
  if (!watch_) return;
  watch_->tell({place_.rank, CauseKind::failed, message});
  let_others_read();
}

/// The others look at the store once a second, and rank 0 takes it along.
void RankGroup::let_others_read() const {
  if (place_.serves_store()) std::this_thread::sleep_for(kReadTime);
}

void RankGroup::throw_cause(const Cause& own) {
  const Cause first = watch_ ? watch_->tell(own) : own;
  let_others_read();
  throw Error(first.message());
}

}  // namespace longgen
