#include "longgen/serve/schedule/cache_keeper.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/serve/simulated_cache.h"

namespace longgen {
namespace {

/// A keeper over a made-up pool, for three layers of which one is full, with windows of 3 blocks.
struct Fixture {
  explicit Fixture(int64_t capacity, int64_t checkpoint_tokens = 640, int64_t max_chunk = 512)
      : layout(plan_of(3, {1}, "sink=1,window=3,stride=0"), {3, 2, 16, PageType::kBfloat16}),
        keeper(layout, {capacity, max_chunk, checkpoint_tokens, true}, pool, 1) {}

  /// Runs a request from its admission to its end; returns its hit, or -1 where it is not admitted.
  int64_t run(const Request& request, int64_t chunk = 512) {
    const std::optional<CacheKeeper::Admission> admission = keeper.admit(request);
    if (!admission) return -1;
    SimulatedSequence sequence(layout, pool);
    sequence.begin(admission->hit_tokens, admission->pages);
    while (sequence.length() < request.prompt_tokens()) {
      pass(request, sequence, std::min(chunk, request.prompt_tokens() - sequence.length()));
    }
    keeper.end(request.id, request.prompt, &sequence);
    return admission->hit_tokens;
  }
  void pass(const Request& request, SimulatedSequence& sequence, int64_t count) {
    const int64_t begin = sequence.length();
    sequence.pass(request.prompt, count);
    EXPECT_LE(pool.num_in_use(), keeper.ledger().reserved() + keeper.ledger().cached());
    keeper.passed(request.id, begin, begin + count, sequence);
    sequence.release_dead();
    EXPECT_LE(pool.num_in_use(), keeper.ledger().reserved() + keeper.ledger().cached());
    EXPECT_EQ(keeper.ledger().cached(), keeper.pages().on_device().total());
  }

  KvLayout layout;
  SimulatedPool pool;
  CacheKeeper keeper;
};

Request request(RequestId id, std::vector<int32_t> prompt, int64_t max_new_tokens = 1) {
  return {.id = id, .prompt = std::move(prompt), .max_new_tokens = max_new_tokens};
}

std::vector<int32_t> joined(std::vector<int32_t> first, const std::vector<int32_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST(CacheKeeper, ReservesThePeakAndShrinksAfterThePrompt) {
  Fixture f(1000);
  const Request one = request(1, tokens_of(1, 1000), 200);
  const PageDemand demand(f.layout);
  ASSERT_TRUE(f.keeper.admit(one));
  EXPECT_EQ(f.keeper.ledger().reserved(), demand.peak(0, {0, 1000, 1199}, 512).total());
  SimulatedSequence sequence(f.layout, f.pool);
  f.pass(one, sequence, 512);
  f.pass(one, sequence, 488);
  const int64_t given = 2 * 15 + 2 * 2;  // full pages of 15 blocks, and sinks, are the cache's now
  EXPECT_EQ(f.keeper.ledger().reserved(), demand.peak(0, {1000, 1000, 1199}, 512).total() - given);
  f.keeper.end(1, one.prompt, &sequence);
  sequence.clear();
  EXPECT_EQ(f.keeper.ledger().reserved(), 0);
  EXPECT_EQ(f.pool.num_in_use(), f.keeper.pages().on_device().total());
}

TEST(CacheKeeper, ThePromptAndTheTurnAfterItHit) {
  Fixture f(1000);
  const std::vector<int32_t> prompt = tokens_of(1, 1000);
  EXPECT_EQ(f.run(request(1, prompt)), 0);
  EXPECT_EQ(f.run(request(2, prompt)), 960);
  EXPECT_EQ(f.run(request(3, joined(prompt, tokens_of(2, 300)))), 960);
  EXPECT_EQ(f.run(request(4, joined(prompt, tokens_of(2, 400)))), 1280);
  // A turn may tokenize the seam otherwise: one block below the last there is a checkpoint, too.
  std::vector<int32_t> seam = prompt;
  seam[950] ^= 1;
  EXPECT_EQ(f.run(request(5, seam)), 896);
}

TEST(CacheKeeper, TheThirdOfACommonTextHitsWhereTheSecondLeftIt) {
  Fixture f(2000, 8192);
  const std::vector<int32_t> system = tokens_of(1, 700);
  EXPECT_EQ(f.run(request(1, joined(system, tokens_of(2, 500)))), 0);
  EXPECT_EQ(f.run(request(2, joined(system, tokens_of(3, 500)))), 0);
  EXPECT_EQ(f.run(request(3, joined(system, tokens_of(4, 500)))), 640);
  EXPECT_EQ(f.run(request(4, joined(system, tokens_of(5, 500)))), 640);
}

TEST(CacheKeeper, SaysWhatAPromptWillLeave) {
  Fixture f(1000);
  const std::vector<int32_t> text = tokens_of(1, 1000);
  const Request earlier = request(1, text);
  const auto left = [&](const std::vector<int32_t>& prompt) {
    return f.keeper.tokens_left_by(earlier, request(2, prompt));
  };
  EXPECT_EQ(left(text), 960);
  EXPECT_EQ(left(joined(text, {1, 2, 3})), 960);
  EXPECT_EQ(left({text.begin(), text.begin() + 960}), 640);  // a token must be left
  EXPECT_EQ(left(joined({text.begin(), text.begin() + 700}, tokens_of(2, 300))), 640);
  EXPECT_EQ(left(tokens_of(2, 1000)), 0);
  Request other = request(3, text);
  other.salt = "other";
  EXPECT_EQ(f.keeper.tokens_left_by(earlier, other), 0);
  // As it turns out:
  f.run(earlier);
  EXPECT_EQ(f.keeper.known(request(4, joined(text, {1, 2, 3}))).num_tokens, 960);
}

TEST(CacheKeeper, WhatDoesNotReadPrefixesLeavesSome) {
  Fixture f(1000);
  Request first = request(1, tokens_of(1, 500)), second = request(2, tokens_of(1, 500));
  second.reads_prefixes = false;
  EXPECT_EQ(f.run(first), 0);
  EXPECT_EQ(f.keeper.known(second).num_tokens, 0);
  EXPECT_EQ(f.run(second), 0);
  EXPECT_EQ(f.run(request(3, tokens_of(1, 500))), 448);
}

TEST(CacheKeeper, EvictsForARequestAndNotInVain) {
  Fixture f(170);
  EXPECT_EQ(f.run(request(1, tokens_of(1, 900))), 0);
  const int64_t cached = f.keeper.ledger().cached();
  const Request holder = request(2, tokens_of(2, 1500), 300);
  ASSERT_TRUE(f.keeper.admit(holder));
  EXPECT_EQ(f.keeper.ledger().cached(), cached);
  // What is left beside the holder is too little even without the first one's pages: they stay.
  const Request large = request(3, tokens_of(3, 3000));
  ASSERT_TRUE(f.keeper.can_ever_fit(large));
  EXPECT_FALSE(f.keeper.admit(large));
  EXPECT_EQ(f.keeper.ledger().cached(), cached);
  f.keeper.end(2, {}, nullptr);
  EXPECT_EQ(f.run(large), 0);
  EXPECT_EQ(f.keeper.known(request(4, tokens_of(1, 900))).num_tokens, 0);
}

TEST(CacheKeeper, ARequestThatFillsThePoolRunsColdRatherThanNever) {
  Fixture probe(10'000, 640, 64);
  const Request one = request(1, tokens_of(1, 1500), 64);
  ASSERT_TRUE(probe.keeper.admit(one));
  // With a hit its window pages would stand beside the request's own.
  Fixture f(probe.keeper.ledger().reserved(), 640, 64);
  EXPECT_TRUE(f.keeper.can_ever_fit(one));
  EXPECT_EQ(f.run(one, 64), 0);
  const Request again = request(2, one.prompt, 64);
  EXPECT_GT(f.keeper.known(again).num_tokens, 0);
  EXPECT_EQ(f.run(again, 64), 0);
}

TEST(CacheKeeper, SmallerChunksMakeItFit) {
  const Request one = request(1, tokens_of(1, 4000));
  const KvLayout layout(plan_of(3, {1}, "sink=1,window=3,stride=0"),
                        {3, 2, 16, PageType::kBfloat16});
  const PageDemand demand(layout);
  const int64_t small = demand.peak(0, {0, 4000, 4000}, 64).total();
  SimulatedPool pool;
  CacheKeeper tight(layout, {small, 512, 640, true}, pool, 1);
  EXPECT_TRUE(tight.can_ever_fit(one));
  EXPECT_EQ(tight.admit(one)->max_chunk, 64);
  CacheKeeper tighter(layout, {small - 1, 512, 640, true}, pool, 1);
  EXPECT_FALSE(tighter.can_ever_fit(one));
}

TEST(CacheKeeper, KeepsNothingWhereItShallNot) {
  Fixture f(1000);
  SimulatedPool pool;
  CacheKeeper keeper(f.layout, {1000, 512, 640, false}, pool, 1);
  const Request one = request(1, tokens_of(1, 700));
  ASSERT_TRUE(keeper.admit(one));
  SimulatedSequence sequence(f.layout, pool);
  sequence.pass(one.prompt, 700);
  keeper.passed(1, 0, 700, sequence);
  keeper.end(1, one.prompt, &sequence);
  EXPECT_EQ(keeper.ledger().cached(), 0);
  EXPECT_EQ(keeper.known(one).num_tokens, 0);
}

TEST(CacheKeeper, OfAnOvercommittedReplyAPartIsReservedAndMoreWhenThatIsThere) {
  Fixture f(1000);
  SimulatedPool pool;
  SimulatedHost host(pool);
  CacheKeeper keeper(f.layout,
                     {.capacity_pages = 1000,
                      .max_chunk = 512,
                      .checkpoint_tokens = 640,
                      .keeps_prefixes = false,
                      .host_pages = 1000,
                      .overcommit = 4},
                     pool, 1);
  const PageDemand& demand = keeper.demand();
  const Request one = request(1, tokens_of(1, 640), 401), two = request(2, tokens_of(2, 640), 401);
  ASSERT_TRUE(keeper.admit(one) && keeper.admit(two));
  EXPECT_EQ(keeper.ledger().reserved_for(1), demand.peak(0, {0, 640, 740}, 512).total());
  EXPECT_FALSE(keeper.can_swap_out(1)) << "it was alone, and stays";
  EXPECT_TRUE(keeper.can_swap_out(2));
  EXPECT_EQ(keeper.pages().host_promised(), demand.peak(0, {640, 640, 1040}, 64).total());
  SimulatedSequence a(f.layout, pool), b(f.layout, pool);
  for (SimulatedSequence* const sequence : {&a, &b}) {
    const Request& its = sequence == &a ? one : two;
    sequence->pass(its.prompt, 640);
    keeper.passed(its.id, 0, 640, *sequence);
    sequence->release_dead();
  }
  EXPECT_TRUE(keeper.extend(1, 740));
  EXPECT_EQ(keeper.ledger().reserved_for(1), demand.peak(0, {640, 640, 740}, 64).total());
  EXPECT_TRUE(keeper.extend(1, 741));
  EXPECT_EQ(keeper.ledger().reserved_for(1), demand.peak(0, {740, 740, 816}, 64).total());

  keeper.swap_out(2, 640, b);
  b.clear();
  const int64_t held = f.layout.pages_held(640);
  EXPECT_EQ(keeper.ledger().reserved_for(2), 0);
  EXPECT_EQ(keeper.ledger().cached(), held);
  EXPECT_FALSE(keeper.swap_in(2)) << "before its pages have left";
  const auto copy = [&] {
    host.begin(keeper.begin_copies(1000));
    host.end();
    keeper.end_copies();
  };
  copy();
  EXPECT_EQ(keeper.ledger().cached(), 0);
  const auto back = keeper.swap_in(2);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::ssize(back->pages), held);
  EXPECT_EQ(back->hit_tokens, 640);
  EXPECT_GT(back->arrives_at, keeper.num_arrived());
  copy();
  EXPECT_EQ(back->arrives_at, keeper.num_arrived());
  b.begin(640, back->pages);
  keeper.swapped_in(2);
  EXPECT_TRUE(b.holds(two.prompt));
  EXPECT_EQ(b.num_own_pages(), held);
  for (const RequestId id : {1, 2}) keeper.end(id, {}, nullptr);
  a.clear();
  b.clear();
  EXPECT_EQ(pool.num_in_use(), 0);
  EXPECT_EQ(keeper.pages().host_promised(), 0);
  EXPECT_EQ(keeper.pages().on_host().total(), 0);
}

TEST(CacheKeeper, RefusesOptionsOutOfRange) {
  Fixture f(1000);
  EXPECT_ERROR(CacheKeeper(f.layout, {0, 512, 640, true}, f.pool, 1), "at least one page");
  EXPECT_ERROR(CacheKeeper(f.layout, {9, 100, 640, true}, f.pool, 1),
               "chunk: expected a positive multiple of 64 tokens, found 100");
  EXPECT_ERROR(CacheKeeper(f.layout, {9, 64, 0, true}, f.pool, 1),
               "distance of checkpoints: expected a positive multiple of 64 tokens, found 0");
  EXPECT_ERROR(CacheKeeper(f.layout, {9, 64, 640, true, -1}, f.pool, 1),
               "pages on the host: expected 0 or more, found -1");
  EXPECT_ERROR(CacheKeeper(f.layout, {9, 64, 640, true, 0, 2}, f.pool, 1),
               "overcommit: expected 1, or more with room on the host, found 2 and 0 pages");
}

}  // namespace
}  // namespace longgen
