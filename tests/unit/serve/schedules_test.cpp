// Replays random schedules: arrivals with texts in common, turns of chats, readers that go, stop,
// or pause; small and large pools, all kinds of patterns.
#include <gtest/gtest.h>

#include "longgen/base/random.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/sanitized.h"
#include "tests/unit/serve/simulated_server.h"

namespace longgen {
namespace {

std::vector<KvLayout> layouts() {
  const KvShape shape = {3, 2, 16, PageType::kBfloat16};
  std::vector<KvLayout> all = {KvLayout(LayerPlan::all_full(3), shape)};
  for (const char* sparse : {"sink=1,window=3,stride=0", "sink=1,window=2,stride=5",
                             "sink=0,window=1,stride=0", "window_tokens=100"}) {
    all.emplace_back(plan_of(3, {1}, sparse), shape);
  }
  all.emplace_back(plan_of(3, {}, "sink=2,window=4,stride=0"), shape);
  all.emplace_back(three_classes("sink=1,window=2,stride=3", 200),
                   KvShape{6, 2, 16, PageType::kBfloat16});
  return all;
}

#ifdef LONGGEN_TEST_SANITIZED  // six times slower
constexpr int kShare = 5;
#else
constexpr int kShare = 1;
#endif

class Schedule {
 public:
  Schedule(const KvLayout& layout, uint64_t key)
      : random_(key),
        demand_(layout),
        server_(layout, keeper_options(), scheduler_options(),
                CostModel({0.01, 0.002, 1e-4 * static_cast<double>(1 + random_.below(20)), 1e-8,
                           1e-7})) {}

  void run(int num_requests) {
    int submitted = 0, idle = 0;
    while (submitted < num_requests || server_.num_live() > 0) {
      while (submitted < num_requests && random_.below(3) == 0) submit(++submitted);
      disturb();
      const bool works = server_.step();
      if (::testing::Test::HasFatalFailure()) return;
      idle = works ? 0 : idle + 1;
      if (!works && idle > 2) resume_all();
      ASSERT_LT(idle, 10 + num_requests * 10) << "nothing moves";
      server_.wait_until(server_.now() + (works ? 0 : 0.1));
    }
    server_.step();  // the last one is looked at
    check_end();
  }
  int64_t num_to_device() const { return server_.num_to_device(); }
  int64_t num_swaps() const { return server_.num_swaps(); }

 private:
  CacheKeeperOptions keeper_options() {
    const int64_t largest = demand_.peak(0, {0, 1600, 1800}, 64).total();
    const auto host_pages =
        static_cast<int64_t>(random_.below(3) * random_.below(4 * static_cast<uint64_t>(largest)));
    const double overcommit = host_pages > 0 && random_.below(2) == 0
                                  ? 1 + 0.5 * static_cast<double>(1 + random_.below(12))
                                  : 1;
    const auto spare = static_cast<uint64_t>(overcommit > 1 ? largest / 4 : 4 * largest);
    return {.capacity_pages = largest + static_cast<int64_t>(random_.below(spare)),
            .max_chunk = int64_t{64} << random_.below(5),
            .checkpoint_tokens = 256,
            .keeps_prefixes = random_.below(8) > 0,
            .host_pages = host_pages,
            .overcommit = overcommit};
  }
  SchedulerOptions scheduler_options() {
    return {.step_budget_seconds = random_.below(4) == 0 ? 0.003 : 0.1,
            .max_sequences = static_cast<int64_t>(1 + random_.below(12)),
            .max_queued = static_cast<int64_t>(5 + random_.below(30)),
            .patience_seconds = 0.5,
            .copies_beside_steps = random_.below(2) == 0};
  }

  std::vector<int32_t> prompt() {
    std::vector<int32_t> tokens;
    const uint64_t kind = random_.below(4);
    if (kind == 0 && !texts_.empty()) {  // a turn more
      tokens = texts_[random_.below(texts_.size())];
    } else if (kind < 3) {  // a common text
      const uint64_t text = random_.below(3);
      tokens = tokens_of(1000 + text, static_cast<int64_t>(200 + 150 * text));
    }
    const auto more = tokens_of(random_.next(), static_cast<int64_t>(1 + random_.below(500)));
    tokens.insert(tokens.end(), more.begin(), more.end());
    if (random_.below(20) == 0) tokens = tokens_of(random_.next(), 1599);
    tokens.resize(std::min<size_t>(tokens.size(), 1600));
    texts_.push_back(tokens);
    return tokens;
  }

  void submit(RequestId id) {
    SimulatedRequest request;
    request.request = {.id = id,
                       .prompt = prompt(),
                       .max_new_tokens = static_cast<int64_t>(1 + random_.below(150)),
                       .priority = static_cast<int64_t>(random_.below(3)),
                       .salt = random_.below(5) == 0 ? "other" : "",
                       .reads_prefixes = random_.below(10) > 0};
    if (random_.below(2) == 0) request.stops_after = static_cast<int64_t>(1 + random_.below(60));
    if (server_.keeper().overcommits() && random_.below(2) == 0) {  // longer than was expected
      request.request.prompt.resize(std::min<size_t>(request.request.prompt.size(), 200));
      request.request.max_new_tokens = static_cast<int64_t>(200 + random_.below(800));
      request.stops_after = request.request.max_new_tokens;
    }
    const Submission submission = server_.submit(request);
    EXPECT_NE(submission.outcome, Submission::Outcome::too_large);
    if (submission.outcome == Submission::Outcome::queue_full) {
      EXPECT_GE(submission.retry_after_seconds, 1);
    }
  }

  void disturb() {
    if (random_.below(12) != 0) return;
    const std::vector<RequestId> live = server_.live();
    if (live.empty()) return;
    const RequestId id = live[random_.below(live.size())];
    switch (random_.below(3)) {
      case 0:
        return server_.cancel(id);
      case 1:
        return server_.scheduler().pause(id);
      default:
        return server_.scheduler().resume(id);
    }
  }
  void resume_all() {
    for (const RequestId id : server_.live()) server_.scheduler().resume(id);
  }

  void check_end() {
    CacheKeeper& keeper = server_.keeper();
    ASSERT_EQ(keeper.ledger().reserved(), 0);
    ASSERT_EQ(server_.scheduler().num_running() + server_.scheduler().num_waiting(), 0);
    ASSERT_EQ(server_.pool().num_in_use(), keeper.pages().on_device().total());
  }

  RandomStream random_;
  PageDemand demand_;
  SimulatedServer server_;
  std::vector<std::vector<int32_t>> texts_;
};

TEST(Schedules, HoldWhatWasPromised) {
  const std::vector<KvLayout> all = layouts();
  constexpr uint64_t kSchedules = 1400 / kShare;
  int64_t num_to_device = 0, num_swaps = 0;
  for (uint64_t key = 0; key < kSchedules; ++key) {
    Schedule schedule(all[key % all.size()], key);
    schedule.run(20);
    ASSERT_FALSE(HasFailure()) << "schedule " << key;
    num_to_device += schedule.num_to_device();
    num_swaps += schedule.num_swaps();
  }
  EXPECT_GT(num_to_device, 3 * static_cast<int64_t>(kSchedules)) << "too little comes back";
  EXPECT_GT(num_swaps, static_cast<int64_t>(kSchedules) / 100) << "too few go to the host";
}

TEST(Schedules, ALongOneDriftsNowhere) {
  const std::vector<KvLayout> all = layouts();
  Schedule schedule(all[1], 12345);
  schedule.run(1500 / kShare);
}

}  // namespace
}  // namespace longgen
