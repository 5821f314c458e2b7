#include "longgen/dist/rank_group.h"

#include <gtest/gtest.h>

#include <atomic>

#include "memory_store.h"
#include "rank_threads.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

RankPlace place_of(int rank, int num_ranks) {
  RankPlace place;
  place.rank = place.local_rank = rank;
  place.num_ranks = place.num_local_ranks = num_ranks;
  place.launcher_serves = place.is_one_host = true;
  return place;
}

/// Joins ranks that are threads and lets them run action(group).
std::vector<std::string> run_groups(MemoryStore& store, int num_ranks, milliseconds silence,
                                    const std::function<void(RankGroup&)>& action,
                                    const std::function<void(const std::string&)>& abandon = {}) {
  return run_threads(num_ranks, [&](int rank) {
    RankGroup group(place_of(rank, num_ranks), store.connect_again(),
                    {.watch = {.silence = silence, .on_abandon = abandon},
                     .join_time = seconds(10),
                     .call_time = seconds(20),
                     .interface = ""});
    group.run([&] { action(group); });
  });
}

TEST(RankGroup, EndsTogether) {
  MemoryStore store;
  const auto errors = run_groups(store, 3, seconds(20), [](RankGroup& group) {
    // Whoever is done first waits for the others, and its going is no loss.
    std::this_thread::sleep_for(milliseconds(60 * group.place().rank));
    group.communicator().barrier("step").wait();
  });
  EXPECT_EQ(errors, std::vector<std::string>(3));
}

TEST(RankGroup, TheErrorOfOneIsToldToAll) {
  MemoryStore store;
  const auto begin = steady_clock::now();
  const auto errors = run_groups(store, 3, seconds(20), [](RankGroup& group) {
    LG_CHECK(group.place().rank != 2, "run.toml: the disk is full.");
    group.communicator().barrier("step 1").wait();
    group.communicator().barrier("step 2").wait();
  });
  EXPECT_EQ(errors[2], "run.toml: the disk is full.");
  EXPECT_EQ(errors[0], "rank 2 failed: run.toml: the disk is full.");
  EXPECT_EQ(errors[1], errors[0]);
  EXPECT_LT(steady_clock::now() - begin, seconds(3));
}

TEST(RankGroup, ARankThatComputesHearsOfALossAndIsAbandoned) {
  MemoryStore store;
  std::atomic<bool> abandoned = false;
  std::string message;
  const auto errors = run_groups(
      store, 2, seconds(1),
      [&](RankGroup& group) {
        if (group.place().rank == 1) LG_FAIL("no memory.");
        const auto deadline = steady_clock::now() + seconds(10);
        while (!abandoned && steady_clock::now() < deadline) {
          std::this_thread::sleep_for(milliseconds(5));
        }
        group.communicator().barrier("after a long layer").wait();
      },
      [&](const std::string& text) {
        message = text;
        abandoned = true;
      });
  EXPECT_EQ(message, "rank 1 failed: no memory.");
  EXPECT_EQ(errors[0], message);
}

/// A store whose rank 1 writes no signs: that of a process that is stopped.
class StoppedStore : public MemoryStore {
 public:
  explicit StoppedStore(const MemoryStore& store) : MemoryStore(store) {}
  void set(const std::string& key, const std::string& value) override {
    if (key != "sign/1" || value == "0") MemoryStore::set(key, value);
  }
  std::unique_ptr<Store> connect_again() const override {
    return std::make_unique<StoppedStore>(*this);
  }
};

TEST(RankGroup, ASilentRankEndsTheRunInTime) {
  MemoryStore store;
  constexpr milliseconds kSilence{1000};
  steady_clock::time_point begin;
  const auto errors = run_threads(2, [&](int rank) {
    auto own = rank == 1 ? std::make_unique<StoppedStore>(store) : store.connect_again();
    RankGroup group(place_of(rank, 2), std::move(own),
                    {.watch = {.silence = kSilence, .on_abandon = {}},
                     .join_time = seconds(10),
                     .call_time = seconds(20),
                     .interface = ""});
    if (rank == 0) begin = steady_clock::now();
    group.run([&] {
      if (rank == 1) std::this_thread::sleep_for(seconds(2));
      group.communicator().barrier("step 1").wait();
    });
  });
  EXPECT_EQ(errors[0],
            "rank 1 has given no sign of life for 1.0s: it is stopped, or its host cannot be "
            "reached.");
}

TEST(RankGroup, AStoreThatIsGoneEndsTheRun) {
  MemoryStore store;
  const auto errors = run_groups(store, 2, seconds(2), [&](RankGroup& group) {
    if (group.place().rank == 0) store.break_down();
    std::this_thread::sleep_for(milliseconds(600));
    group.communicator().barrier("step 1").wait();
  });
  for (const std::string& error : errors) {
    EXPECT_TRUE(error.ends_with("failed: the store is gone.") ||
                error.ends_with("closed its connections without a word: it was ended, or its host "
                                "is gone."))
        << error;
  }
}

}  // namespace
}  // namespace longgen
