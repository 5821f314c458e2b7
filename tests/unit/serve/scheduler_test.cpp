#include "longgen/serve/schedule/scheduler.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/serve/simulated_server.h"

namespace longgen {
namespace {

// 10 ms a step, 1 ms a token of a prompt, and a quadratic part that doubles that at 10,000 tokens.
const CostModel kCost({0.010, 0, 0.001, 5e-8, 1e-7});

KvLayout small_layout() {
  return KvLayout(plan_of(3, {1}, "sink=1,window=3,stride=0"), {3, 2, 16, PageType::kBfloat16});
}

struct Fixture {
  explicit Fixture(SchedulerOptions options = {}, int64_t capacity = 100'000)
      : layout(small_layout()), server(layout, {capacity, 2048, 8192, true}, options, kCost) {}

  RequestId submit(int64_t prompt, int64_t max_new = 5, int64_t priority = 0) {
    const RequestId id = ++last;
    Request request = {.id = id,
                       .prompt = tokens_of(static_cast<uint64_t>(id), prompt),
                       .max_new_tokens = max_new,
                       .priority = priority};
    const Submission submission = server.submit({std::move(request)});
    EXPECT_EQ(submission.outcome, Submission::Outcome::accepted);
    return id;
  }
  Submission try_submit(int64_t prompt, int64_t max_new = 5) {
    return server.submit({{.id = ++last,
                           .prompt = tokens_of(static_cast<uint64_t>(last), prompt),
                           .max_new_tokens = max_new}});
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) server.step();
  }
  double first_token(RequestId id) const { return server.outcomes().at(id).first_token; }
  void finish_all() {
    for (int i = 0; i < 10'000 && server.num_live() > 0; ++i) ASSERT_TRUE(server.step());
    ASSERT_EQ(server.num_live(), 0);
  }

  KvLayout layout;
  SimulatedServer server;
  RequestId last = 0;
};

std::vector<std::pair<RequestId, int64_t>> parts_of(const StepPlan& plan) {
  std::vector<std::pair<RequestId, int64_t>> parts;
  for (const StepPart& part : plan.parts) parts.emplace_back(part.request, part.num_tokens);
  return parts;
}
using Parts = std::vector<std::pair<RequestId, int64_t>>;

TEST(Scheduler, NothingToDoIsAnEmptyStep) {
  Fixture f;
  EXPECT_TRUE(f.server.scheduler().next_step(0).parts.empty());
}

TEST(Scheduler, ChunksAreBlocksWithinTheBudget) {
  Fixture f;
  Scheduler& scheduler = f.server.scheduler();
  f.submit(100);
  f.submit(1000);
  // Without decoders two budgets: 200 ms hold 10 ms and 189 tokens; the first prompt ends.
  EXPECT_EQ(parts_of(scheduler.next_step(0)), (Parts{{1, 100}, {2, 64}}));
  // One decoder; 100 ms hold 99 tokens.
  EXPECT_EQ(parts_of(scheduler.next_step(1)), (Parts{{1, 1}, {2, 64}}));
  EXPECT_NEAR(scheduler.next_step(2).predicted_seconds, 0.010 + 0.065 + 64 * 256 * 5e-8, 1e-3);
}

TEST(Scheduler, DrawsAsManyTokensAsAskedFor) {
  Fixture f;
  f.submit(300, 7);
  f.submit(10, 1);
  f.finish_all();
  EXPECT_EQ(f.server.outcomes().at(1).num_drawn, 7);
  EXPECT_EQ(f.server.outcomes().at(2).num_drawn, 1);
}

TEST(Scheduler, ShortPromptsEndInOneStepTogether) {
  Fixture f;
  for (int i = 0; i < 8; ++i) f.submit(20);
  EXPECT_EQ(f.server.scheduler().next_step(0).parts.size(), 8u);
}

TEST(Scheduler, AShortPromptOvertakesALongOne) {
  Fixture f;
  const RequestId decoder = f.submit(10, 10'000);
  f.steps(3);
  const RequestId longer = f.submit(20'000);
  f.steps(20);
  const double arrival = f.server.now();
  const RequestId shorter = f.submit(60);
  f.steps(6);
  ASSERT_GT(f.first_token(shorter), 0);
  // Alone it takes 72 ms; the step in flight and one more are before it.
  EXPECT_LE(f.first_token(shorter) - arrival, 0.072 + 2 * 0.120);
  EXPECT_LT(f.first_token(longer), 0);
  EXPECT_TRUE(f.server.is_live(decoder));
  EXPECT_LE(f.server.worst_gap_over_budget(), 1e-9);
}

TEST(Scheduler, ALongPromptIsSureOfAQuarter) {
  // A stream of short prompts that would take the whole budget.
  Fixture f;
  const RequestId longer = f.submit(3000);
  for (int i = 0; i < 800 && f.first_token(longer) < 0; ++i) {
    while (f.server.scheduler().num_waiting() < 3) f.submit(90, 1);
    f.server.step();
  }
  ASSERT_GT(f.first_token(longer), 0);
  // 3.7 s alone; by quarters no more than four times that.
  EXPECT_LT(f.first_token(longer), 4 * 3.7);
}

TEST(Scheduler, TheQueueIsOrderedByPriorityThenByWhenItWouldBeDone) {
  Fixture f({.max_sequences = 1});
  f.submit(10, 3);
  f.server.step();
  const RequestId first = f.submit(5000), second = f.submit(50), urgent = f.submit(5000, 5, -1);
  f.finish_all();
  EXPECT_LT(f.first_token(urgent), f.first_token(second));
  EXPECT_LT(f.first_token(second), f.first_token(first));
  // A long one that has waited for its own length is not passed any more.
  Fixture g({.max_sequences = 1});
  g.submit(10, 300);
  g.server.step();
  const RequestId old = g.submit(500);
  g.server.wait_until(10);
  const RequestId late = g.submit(50);
  g.finish_all();
  EXPECT_LT(g.first_token(old), g.first_token(late));
}

TEST(Scheduler, TheSecondUnfinishedPromptIsMuchShorterThanTheFirst) {
  Fixture f;
  f.submit(10'000);
  f.server.step();
  f.submit(9000);
  f.server.step();
  EXPECT_EQ(f.server.scheduler().num_running(), 1);
  f.submit(3000);
  f.server.step();
  EXPECT_EQ(f.server.scheduler().num_running(), 2);
  f.submit(1000);  // a third one waits, as it does not end within a step
  f.steps(3);
  EXPECT_EQ(f.server.scheduler().num_running(), 2);
  f.submit(30);  // this one does
  f.steps(2);
  EXPECT_EQ(f.server.scheduler().num_running(), 3);
}

TEST(Scheduler, TooLargeIsSaidAtOnceAndAFullQueueWhenToComeBack) {
  Fixture f({.max_queued = 3, .max_queued_seconds = 20}, 700);
  EXPECT_EQ(f.try_submit(50'000).outcome, Submission::Outcome::too_large);
  EXPECT_EQ(f.try_submit(10, 50'000).outcome, Submission::Outcome::too_large);
  EXPECT_EQ(f.try_submit(10'000).outcome, Submission::Outcome::accepted);
  EXPECT_EQ(f.try_submit(9'000).outcome, Submission::Outcome::accepted);
  const Submission third = f.try_submit(9'500);  // behind some 14 s, before 16
  EXPECT_EQ(third.outcome, Submission::Outcome::accepted);
  const Submission full = f.try_submit(10);
  EXPECT_EQ(full.outcome, Submission::Outcome::queue_full);
  EXPECT_GE(full.retry_after_seconds, 1);

  Fixture g({.max_queued_seconds = 20}, 700);
  g.submit(10'000), g.submit(9'000);
  const Submission late = g.try_submit(10'000);
  EXPECT_EQ(late.outcome, Submission::Outcome::queue_full);
  EXPECT_NEAR(late.retry_after_seconds, 12, 4);
  EXPECT_EQ(g.try_submit(10).outcome, Submission::Outcome::accepted);  // it would not wait long
}

TEST(Scheduler, ManyWhoAskAboutOneTextWaitForTheFirstOfThem) {
  Fixture f({.max_queued_seconds = 30});
  const std::vector<int32_t> text = tokens_of(1, 12'000);  // some 21 s
  double first = 0;
  for (RequestId id = 1; id <= 10; ++id) {
    Request request = {.id = id, .prompt = text, .max_new_tokens = 5};
    request.prompt.push_back(static_cast<int32_t>(id));
    ASSERT_EQ(f.server.submit({std::move(request)}).outcome, Submission::Outcome::accepted) << id;
    if (id == 1) first = *f.server.scheduler().seconds_to_first_token(1);
  }
  EXPECT_LT(*f.server.scheduler().seconds_to_first_token(10), first + 2);
  f.finish_all();
  EXPECT_EQ(f.server.outcomes().at(1).hit_tokens, 0);
  for (RequestId id = 2; id <= 10; ++id) {
    EXPECT_EQ(f.server.outcomes().at(id).hit_tokens, 11'968) << id;
    EXPECT_LT(f.first_token(id), f.first_token(1) + 2) << id;
  }
}

TEST(Scheduler, SamplesOfOnePromptComputeItOnce) {
  // All four would fit into one step.
  Fixture f;
  for (RequestId id = 1; id <= 4; ++id) {
    ASSERT_EQ(
        f.server.submit({{.id = id, .prompt = tokens_of(1, 150), .max_new_tokens = 5}}).outcome,
        Submission::Outcome::accepted);
  }
  EXPECT_EQ(parts_of(f.server.scheduler().next_step(0)), (Parts{{1, 150}}));
  Fixture g;
  for (RequestId id = 1; id <= 4; ++id) {
    (void)g.server.submit({{.id = id, .prompt = tokens_of(1, 150), .max_new_tokens = 5}});
  }
  g.steps(2);
  EXPECT_EQ(g.server.scheduler().num_running(), 4);
  for (RequestId id = 2; id <= 4; ++id) EXPECT_EQ(g.server.outcomes().at(id).hit_tokens, 128);
  g.finish_all();
}

TEST(Scheduler, EndsRequestsInEveryPhase) {
  Fixture f({.max_sequences = 2});
  const RequestId decoding = f.submit(10, 1000), prefilling = f.submit(5000),
                  waiting = f.submit(10);
  f.steps(3);
  for (const RequestId id : {waiting, prefilling, decoding}) f.server.cancel(id);
  EXPECT_EQ(f.server.num_live(), 0);
  EXPECT_EQ(f.server.keeper().ledger().reserved(), 0);
  EXPECT_EQ(f.server.pool().num_in_use(), f.server.keeper().pages().on_device().total());
  EXPECT_FALSE(f.server.scheduler().end(waiting));
  f.submit(10);
  f.finish_all();
}

TEST(Scheduler, PausedSequencesAreInNoStep) {
  Fixture f;
  const RequestId slow = f.submit(10, 100), other = f.submit(10, 100);
  f.steps(5);
  f.server.scheduler().pause(slow);
  f.steps(2);  // what was launched is looked at
  const int64_t drawn = f.server.outcomes().at(slow).num_drawn;
  const int64_t drawn_by_other = f.server.outcomes().at(other).num_drawn;
  f.steps(10);
  EXPECT_EQ(f.server.outcomes().at(slow).num_drawn, drawn);
  EXPECT_EQ(f.server.outcomes().at(other).num_drawn, drawn_by_other + 10);
  f.server.scheduler().resume(slow);
  f.finish_all();
  EXPECT_EQ(f.server.outcomes().at(slow).num_drawn, 100);
}

TEST(Scheduler, PausedPromptsAreInNoStep) {
  Fixture f;
  const RequestId slow = f.submit(2000);
  f.steps(2);
  f.server.scheduler().pause(slow);
  EXPECT_TRUE(f.server.scheduler().next_step(1).parts.empty());
  f.server.scheduler().resume(slow);
  f.finish_all();
}

TEST(Scheduler, WhoLacksPagesIsNotPassedForEver) {
  // 20 decoders hold most pages; a large request waits for them, small ones come all the time.
  Fixture f({.step_budget_seconds = 0.1, .patience_seconds = 2}, 400);
  for (int i = 0; i < 20; ++i) f.submit(100, 200);
  f.steps(40);
  const RequestId large = f.submit(5000, 5);
  for (int i = 0; i < 4000 && f.first_token(large) < 0; ++i) {
    if (f.server.scheduler().num_waiting() < 4) f.submit(100, 200);
    f.server.step();
  }
  ASSERT_GT(f.first_token(large), 0);
}

// What a server of a 7B hybrid on one H200 promises, by the cost of its steps: see cost_model_test.
TEST(Scheduler, A128KPromptDisturbsNobodyAndIsHardlyDisturbed) {
  const KvLayout layout = small_layout();
  const CostModel cost({4e-3, 1e-3, 2.2e-5, 1.6e-10, 4e-8});
  const auto prompt = [](RequestId id, int64_t tokens, int64_t max_new) {
    return SimulatedRequest{{.id = id,
                             .prompt = tokens_of(static_cast<uint64_t>(id), tokens),
                             .max_new_tokens = max_new}};
  };
  const auto server = [&] {
    return std::make_unique<SimulatedServer>(layout, CacheKeeperOptions{.capacity_pages = 100'000},
                                             SchedulerOptions{}, cost);
  };
  const auto alone = server();
  (void)alone->submit(prompt(1, 131'072, 1));
  while (alone->num_live() > 0) alone->step();

  const auto shared = server();
  for (RequestId id = 1; id <= 8; ++id) (void)shared->submit(prompt(id, 2048, 10'000));
  while (shared->outcomes().at(8).first_token < 0) shared->step();
  const double begin = shared->now();
  (void)shared->submit(prompt(9, 131'072, 1));
  for (int i = 0; i < 20; ++i) shared->step();
  // The worst moment to come: a step has just begun.
  const double arrival = shared->now();
  shared->step();
  (void)shared->submit(prompt(10, 1000, 1));
  while (shared->is_live(10)) shared->step();
  const double of_short = shared->outcomes().at(10).first_token - arrival;
  EXPECT_LE(of_short, cost.prefill_seconds(0, 1000, 0.1) + 2 * 0.1 + 0.01);
  EXPECT_TRUE(shared->is_live(9));
  while (shared->is_live(9)) shared->step();

  EXPECT_LE(shared->worst_gap_over_budget(), 1e-9);
  const double rate = alone->now() / (shared->now() - begin);
  EXPECT_GT(rate, 0.85) << alone->now() << " s alone, " << shared->now() - begin;
}

TEST(Scheduler, SaysWhenTheFirstTokenIsExpected) {
  Fixture f({.max_sequences = 1});
  const RequestId one = f.submit(1000), two = f.submit(2000);
  const double whole = *f.server.scheduler().seconds_to_first_token(one);
  EXPECT_NEAR(whole, 1.0 + 0.05 + 0.11, 0.05);
  EXPECT_GT(*f.server.scheduler().seconds_to_first_token(two), 2 + whole);
  const auto waiting = f.server.scheduler().waiting(9);
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0].request, one);
  EXPECT_EQ(waiting[1].prompt_tokens, 2000);
  EXPECT_EQ(waiting[1].seconds, *f.server.scheduler().seconds_to_first_token(two));
  EXPECT_EQ(f.server.scheduler().waiting(1).size(), 1u);
  f.steps(3);
  EXPECT_LT(*f.server.scheduler().seconds_to_first_token(one), whole);
  for (int i = 0; i < 30 && f.server.outcomes().at(one).num_drawn < 3; ++i) {
    f.steps(1);
    EXPECT_GE(f.server.scheduler().seconds_to_first_token(one).value_or(0), 0);
  }
  EXPECT_FALSE(f.server.scheduler().seconds_to_first_token(one).has_value());
  EXPECT_FALSE(f.server.scheduler().seconds_to_first_token(99).has_value());
}

TEST(Scheduler, RefusesWhatMakesNoSense) {
  Fixture f;
  EXPECT_ERROR(f.try_submit(0), "a request needs a prompt and a token to draw, found 0 and 5");
  EXPECT_ERROR(f.try_submit(5, 0), "found 5 and 0 tokens");
  f.submit(5);
  --f.last;
  EXPECT_ERROR(f.try_submit(5), "is there already");
  EXPECT_ERROR(Scheduler({.step_budget_seconds = 0}, kCost, f.server.keeper()),
               "seconds of a step: expected a number above 0, found 0");
  EXPECT_ERROR(Scheduler({.patience_seconds = -1}, kCost, f.server.keeper()), "patience");
}

// 1,900 tokens of a full layer and windows take 76 pages or so: 15 ms of copies, 2 s of computing.
TEST(Scheduler, APromptThatTheHostHasBeginsWhenItsPagesAreThere) {
  for (const bool beside : {false, true}) {
    SchedulerOptions options;
    options.copies_beside_steps = beside;
    const KvLayout layout = small_layout();
    SimulatedServer server(layout, {.capacity_pages = 110, .max_chunk = 512, .host_pages = 1000},
                           options, CostModel({0.01, 0, 0.001, 0, 0}));
    const auto ask = [&](RequestId id, uint64_t text, int64_t max_new_tokens) {
      SimulatedRequest request;
      request.request = {
          .id = id, .prompt = tokens_of(text, 1900), .max_new_tokens = max_new_tokens};
      EXPECT_EQ(server.submit(request).outcome, Submission::Outcome::accepted);
      const double begin = server.now();
      for (int i = 0; i < 1000 && server.is_live(id); ++i) server.step();
      EXPECT_FALSE(server.is_live(id));
      return server.outcomes().at(id).first_token - begin;
    };
    for (RequestId id = 1; id <= 3; ++id) EXPECT_GT(ask(id, static_cast<uint64_t>(id), 2), 1.9);
    const double warm = ask(4, 1, 2);
    EXPECT_EQ(server.outcomes().at(4).hit_tokens, 1856);
    EXPECT_LT(warm, 0.5);
    EXPECT_GT(server.num_to_device(), 50);
  }
}

}  // namespace
}  // namespace longgen
