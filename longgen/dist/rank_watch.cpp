#include "longgen/dist/rank_watch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kLookEvery{50}, kLongestTell{2000}, kLongestGrace{3000};

std::string sign_key(int rank) { return "sign/" + std::to_string(rank); }

std::string seconds_text(milliseconds time) {
  return format_duration(std::chrono::duration<double>(time).count());
}

}  // namespace

/// What the threads share. The store belongs to the thread of signs.
struct RankWatch::State {
  State(std::unique_ptr<Store> connection, SocketCommunicator& communicator, WatchOptions wanted)
      : store(std::move(connection)),
        ranks(communicator),
        options(std::move(wanted)),
        rank(communicator.rank()),
        last_signs(static_cast<size_t>(communicator.num_ranks())),
        seen_at(last_signs.size(), steady_clock::now()),
        answered_at(steady_clock::now()) {
    for (int r = 0; r < communicator.num_ranks(); ++r) keys.push_back(sign_key(r));
  }

  void give_signs();
  void judge();
  Cause tell(const Cause& own);
  bool exchange_signs(int64_t number);
  void tell_store(const std::optional<Cause>& told);
  std::optional<Cause> find_lost(steady_clock::time_point now);
  milliseconds interval() const { return std::min(milliseconds(1000), options.silence / 10); }
  /// For the store to answer.
  milliseconds tell_time() const {
    return std::clamp(options.silence / 20, milliseconds(200), kLongestTell);
  }

  const std::unique_ptr<Store> store;
  SocketCommunicator& ranks;
  const WatchOptions options;
  const int rank;
  std::vector<std::string> keys;

  std::mutex mutex;  // of all that follows
  std::condition_variable changed;
  bool stopped = false, signs_ended = false;
  std::vector<std::string> last_signs;
  std::vector<steady_clock::time_point> seen_at;  // when a rank's sign changed
  steady_clock::time_point answered_at;           // the store, last
  std::string store_error;
  std::optional<Cause> suspicion;  // to be told to the store
  std::optional<Cause> cause;      // as the store has it
};

/// Writes this rank's sign and reads the others'; false where the store is gone.
bool RankWatch::State::exchange_signs(int64_t number) {
  try {
    std::optional<Cause> to_tell;
    {
      const std::lock_guard lock(mutex);
      to_tell = suspicion;
    }
    tell_store(to_tell);
    store->set(sign_key(rank), std::to_string(number));
    const std::vector<std::string> signs = store->get_all(keys);
    const std::lock_guard lock(mutex);
    answered_at = steady_clock::now();
    for (size_t r = 0; r < signs.size(); ++r) {
      if (signs[r] == last_signs[r]) continue;
      last_signs[r] = signs[r];
      seen_at[r] = answered_at;
    }
    return true;
  } catch (const Error& error) {
    const std::lock_guard lock(mutex);
    store_error = error.what();
    return false;
  }
}

/// Tells a cause, or asks whether there is one.
void RankWatch::State::tell_store(const std::optional<Cause>& told) {
  const std::optional<std::string> found =
      told ? std::optional(store->set_first(kCauseKey, to_text(*told))) : store->find(kCauseKey);
  if (!found) return;
  const std::lock_guard lock(mutex);
  cause = parse_cause(*found);
  LG_CHECK(cause, "the ranks' store has a cause that is none: ", *found);
  changed.notify_all();
}

void RankWatch::State::give_signs() {
  int64_t number = 0;
  while (exchange_signs(++number)) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, interval(), [&] { return stopped || (suspicion && !cause); });
    if (stopped) break;
  }
  const std::lock_guard lock(mutex);
  signs_ended = true;
  changed.notify_all();
}

Cause RankWatch::State::tell(const Cause& own) {
  std::unique_lock lock(mutex);
  if (!suspicion) suspicion = own;
  changed.notify_all();
  changed.wait_for(lock, tell_time(), [&] { return cause || signs_ended; });
  return cause ? *cause : *suspicion;
}

/// The rank that is gone, as far as this one can tell.
std::optional<Cause> RankWatch::State::find_lost(steady_clock::time_point now) {
  if (const auto closed = ranks.closed_rank()) return Cause{*closed, CauseKind::closed, ""};
  const std::lock_guard lock(mutex);
  if (cause) return cause;
  const std::string time = seconds_text(options.silence);
  if (!store_error.empty()) {
    return options.rank_0_serves_store ? Cause{0, CauseKind::closed, ""}
                                       : Cause{rank, CauseKind::failed, store_error};
  }
  if (now - answered_at > options.silence) {
    return options.rank_0_serves_store ? Cause{0, CauseKind::silent, time}
                                       : Cause{rank, CauseKind::failed,
                                               "the ranks' store does not answer for " + time +
                                                   ": the launcher is stopped, or its host "
                                                   "cannot be reached."};
  }
  for (size_t r = 0; r < seen_at.size(); ++r) {
    // By the time of the store's last answer: where that is old, nobody's signs are known.
    if (static_cast<int>(r) != rank && answered_at - seen_at[r] > options.silence) {
      return Cause{static_cast<int>(r), CauseKind::silent, time};
    }
  }
  return std::nullopt;
}

void RankWatch::State::judge() {
  std::optional<Cause> lost;
  auto last_look = steady_clock::now();
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, kLookEvery, [&] { return stopped; })) {
    const auto now = steady_clock::now();
    if (now - last_look > std::max(options.silence / 4, milliseconds(1000))) {
      // This process was stopped itself, and all others with it, perhaps.
      std::ranges::fill(seen_at, now);
      answered_at = now;
    }
    last_look = now;
    lock.unlock();
    lost = find_lost(now);
    lock.lock();
    if (lost) break;
  }
  if (!lost || stopped) return;
  lock.unlock();
  const Cause first = tell(*lost);
  ranks.abort(first.message(), first.rank);
  lock.lock();
  const auto grace = std::min(kLongestGrace, options.silence / 10);
  if (changed.wait_for(lock, grace, [&] { return stopped; }) || !options.on_abandon) return;
  lock.unlock();
  options.on_abandon(first.message());
}

RankWatch::RankWatch(const Store& store, SocketCommunicator& ranks, WatchOptions options)
    : state_(std::make_shared<State>(store.connect_again(), ranks, std::move(options))) {
  signs_ = std::thread([state = state_] { state->give_signs(); });
  judge_ = std::thread([state = state_] { state->judge(); });
}

RankWatch::~RankWatch() {
  std::unique_lock lock(state_->mutex);
  state_->stopped = true;
  state_->changed.notify_all();
  const bool ended =
      state_->changed.wait_for(lock, state_->tell_time(), [&] { return state_->signs_ended; });
  lock.unlock();
  // A store that hangs holds its thread up for ever; the state lives as long as that thread.
  if (ended) {
    signs_.join();
  } else {
    signs_.detach();
  }
  judge_.join();
}

void RankWatch::put_first_sign(Store& store, int rank) { store.set(sign_key(rank), "0"); }

Cause RankWatch::tell(const Cause& own) { return state_->tell(own); }

}  // namespace longgen
