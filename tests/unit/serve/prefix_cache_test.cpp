#include "longgen/serve/schedule/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/serve/simulated_cache.h"

namespace longgen {
namespace {

bool always(const PrefixCache::Growth&) { return true; }

/// A cache over a made-up pool, for three layers of which one is full.
struct Fixture {
  explicit Fixture(const std::string& sparse = "sink=1,window=3,stride=0")
      : layout(plan_of(3, {1}, sparse), {3, 2, 16, PageType::kBfloat16}) {}

  /// Computes tokens from a hit on, chunk by chunk, and stores a checkpoint at each boundary.
  PrefixCache::Node* compute(const std::vector<int32_t>& tokens,
                             const std::vector<int64_t>& boundaries, const std::string& salt = "") {
    SimulatedSequence sequence(layout, pool);
    PrefixCache::Node* last = nullptr;
    for (const int64_t boundary : boundaries) {
      sequence.pass(tokens, boundary - sequence.length());
      last = cache.store(salt, std::span(tokens).first(boundary), sequence, always);
      sequence.release_dead();
    }
    return last;
  }
  int64_t hit(const std::vector<int32_t>& tokens, const std::string& salt = "") const {
    return cache.find(salt, tokens).hit_tokens;
  }

  int64_t num_pages() const { return pages.on_device().total(); }

  KvLayout layout;
  SimulatedPool pool;
  CachedPages pages{layout, pool, 0};
  PrefixCache cache{layout, pages, 1};
};

std::vector<int32_t> joined(std::vector<int32_t> first, const std::vector<int32_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST(PrefixCache, AHitHasExactlyTheLivePages) {
  std::vector<std::string> patterns = sparse_patterns();
  patterns.push_back("sink=0,window=40,stride=7");
  for (const std::string& sparse : patterns) {
    Fixture f(sparse);
    const std::vector<int32_t> tokens = tokens_of(1, 1500);
    f.compute(tokens, {640, 1344});
    for (const int64_t boundary : {640, 1344}) {
      const auto known = std::vector<int32_t>(tokens.begin(), tokens.begin() + boundary + 1);
      const PrefixCache::Match match = f.cache.find("", known);
      ASSERT_EQ(match.hit_tokens, boundary) << sparse;
      const std::vector<HeldPage> pages = f.cache.use(match);
      EXPECT_EQ(static_cast<int64_t>(pages.size()), f.layout.pages_held(boundary)) << sparse;
      SimulatedSequence sequence(f.layout, f.pool);
      sequence.begin(boundary, pages);
      EXPECT_TRUE(sequence.holds(tokens)) << sparse;
      const int64_t held = sequence.num_pages();
      sequence.release_dead();
      EXPECT_EQ(sequence.num_pages(), held) << sparse;
    }
  }
}

TEST(PrefixCache, BeginsAtCheckpointsAlone) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 2000);
  EXPECT_EQ(f.hit(tokens), 0);
  f.compute(tokens, {640, 1280});
  EXPECT_EQ(f.hit(tokens), 1280);
  EXPECT_EQ(f.hit({tokens.begin(), tokens.begin() + 1281}), 1280);
  EXPECT_EQ(f.hit({tokens.begin(), tokens.begin() + 1280}), 640);  // a token must be left
  EXPECT_EQ(f.hit({tokens.begin(), tokens.begin() + 640}), 0);
  const std::vector<int32_t> other =
      joined({tokens.begin(), tokens.begin() + 1000}, tokens_of(2, 500));
  const PrefixCache::Match match = f.cache.find("", other);
  EXPECT_EQ(match.hit_tokens, 640);
  EXPECT_EQ(match.matched_tokens, 960);  // blocks alike, without window pages at their end
}

TEST(PrefixCache, WithoutWindowsEveryBlockIsABoundary) {
  Fixture f;
  KvLayout full(LayerPlan::all_full(3), {3, 2, 16, PageType::kBfloat16});
  CachedPages pages(full, f.pool, 0);
  PrefixCache cache(full, pages, 1);
  SimulatedSequence sequence(full, f.pool);
  const std::vector<int32_t> tokens = tokens_of(1, 1280);
  sequence.pass(tokens, 1280);
  ASSERT_NE(cache.store("", tokens, sequence, always), nullptr);
  EXPECT_EQ(cache.find("", std::span(tokens).first(700)).hit_tokens, 640);
  // What is used in the middle outlives the rest of its branch.
  const PrefixCache::Match middle = cache.find("", std::span(tokens).first(700));
  cache.use(middle);
  EXPECT_TRUE(cache.evict_one());
  EXPECT_EQ(cache.find("", tokens).hit_tokens, 640);
  EXPECT_EQ(pages.on_device().total(), full.pages_held(640));
}

TEST(PrefixCache, SaltsAndTokensMustBeEqual) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 1000);
  f.compute(tokens, {640}, "a key");
  EXPECT_EQ(f.hit(tokens, "a key"), 640);
  EXPECT_EQ(f.hit(tokens, "another key"), 0);
  EXPECT_EQ(f.hit(tokens, ""), 0);
  for (const int64_t place : {0, 63, 64, 639}) {
    std::vector<int32_t> changed = tokens;
    changed[place] ^= 1;
    EXPECT_EQ(f.hit(changed, "a key"), 0) << place;
  }
  // The same block elsewhere in a prompt is another one.
  const std::vector<int32_t> moved = joined({tokens.begin() + 64, tokens.end()}, tokens);
  EXPECT_EQ(f.cache.find("a key", moved).matched_tokens, 0);
}

// Hashes are foreseen by nobody, but if two blocks had the same one, only their tokens count.
TEST(PrefixCache, BlocksWithOneHashAreToldApart) {
  Fixture f;
  PrefixCache cache(f.layout, f.pages, 1, /*hash_bits=*/4);
  RandomStream random(1);
  std::map<uint64_t, int64_t> stored;  // of each text and salt, how much
  int64_t num_hits = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const uint64_t key = random.below(40);
    const std::string salt(key % 4, 's');
    const std::vector<int32_t> tokens = tokens_of(key / 4, 200);
    const PrefixCache::Match match = cache.find(salt, tokens);
    EXPECT_LE(match.hit_tokens, stored[key]);
    SimulatedSequence sequence(f.layout, f.pool);
    sequence.begin(match.hit_tokens, cache.use(match));
    ASSERT_TRUE(sequence.holds(tokens)) << key;
    num_hits += match.hit_tokens > 0 ? 1 : 0;
    if (match.hit_tokens == 0) sequence.pass(tokens, 128);
    if (match.hit_tokens == 0 &&
        cache.store(salt, std::span(tokens).first(128), sequence, always) != nullptr) {
      stored[key] = 128;
    }
    if (random.below(3) == 0) cache.evict_one();
  }
  EXPECT_GT(num_hits, 10);
  EXPECT_LE(cache.num_blocks(), 16);
}

TEST(PrefixCache, OneTextBelowTwoSaltsIsToldApartWithOneHash) {
  Fixture f;
  int64_t num_alike = 0;
  for (uint64_t key = 1; key <= 60; ++key) {
    PrefixCache cache(f.layout, f.pages, key, /*hash_bits=*/1);
    const std::vector<int32_t> text = tokens_of(key, 65), other = tokens_of(1000 + key, 65);
    SimulatedSequence a(f.layout, f.pool), b(f.layout, f.pool);
    a.pass(text, 64);
    b.pass(other, 64);
    ASSERT_NE(cache.store("a", std::span(text).first(64), a, always), nullptr);
    if (cache.store("b", std::span(other).first(64), b, always) == nullptr) continue;
    EXPECT_EQ(cache.find("a", text).hit_tokens, 64);
    EXPECT_EQ(cache.find("b", text).matched_tokens, 0) << key;
    // It has the hash of one of the two blocks that are there.
    SimulatedSequence c(f.layout, f.pool);
    c.pass(text, 64);
    EXPECT_EQ(cache.store("b", std::span(text).first(64), c, always), nullptr);
    ++num_alike;
  }
  EXPECT_GT(num_alike, 10);
}

TEST(PrefixCache, PagesAreOwnedOnceAndReleased) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 2000);
  f.compute(tokens, {640});
  const int64_t alone = f.layout.pages_held(640);
  EXPECT_EQ(f.num_pages(), alone);
  EXPECT_EQ(f.pool.num_in_use(), alone);
  // One block later: a lasting page in each of 2 tables of the full group, and one more window page
  // in each of 4 sparse ones (window 3: two blocks are live, one of them is new).
  f.compute(tokens, {640, 704});
  EXPECT_EQ(f.num_pages(), alone + 2 + 4 * 2);  // computed apart: no page is the same
  while (f.cache.evict_one()) {
  }
  EXPECT_EQ(f.num_pages(), 0);
  EXPECT_EQ(f.cache.num_blocks(), 0);
  EXPECT_EQ(f.pool.num_in_use(), 0);
  // Computed in one go, neighbours share window pages.
  f.compute(tokens, {1280, 1344});
  EXPECT_EQ(f.num_pages(), f.layout.pages_held(1280) + 2 + 4 * 1);
}

TEST(PrefixCache, GoesWithAllItsPages) {
  SimulatedPool pool;
  {
    Fixture f;
    CachedPages pages(f.layout, pool, 0);
    PrefixCache cache(f.layout, pages, 1);
    SimulatedSequence sequence(f.layout, pool);
    const std::vector<int32_t> tokens = tokens_of(1, 1344);
    for (const int64_t boundary : {1280, 1344}) {
      sequence.pass(tokens, boundary - sequence.length());
      ASSERT_NE(cache.store("", std::span(tokens).first(boundary), sequence, always), nullptr);
    }
  }
  EXPECT_EQ(pool.num_in_use(), 0);
}

TEST(PrefixCache, EvictsWholeBranchesTheLeastRecentlyUsedFirst) {
  Fixture f;
  const std::vector<int32_t> common = tokens_of(1, 640);
  const std::vector<int32_t> a = joined(common, tokens_of(2, 700)),
                             b = joined(common, tokens_of(3, 700));
  f.compute(a, {640, 1280});
  f.compute(b, {1280});
  f.cache.use(f.cache.find("", a));  // a is newer than b now; the checkpoint in common is oldest
  EXPECT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.hit(a), 1280);
  EXPECT_EQ(f.hit(b), 1280);
  EXPECT_EQ(f.hit(joined(common, {1, 2, 3})), 0);  // its window pages were all that went
  EXPECT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.hit(b), 0);
  EXPECT_EQ(f.cache.find("", b).matched_tokens, 640);  // a's blocks
  EXPECT_EQ(f.hit(a), 1280);
  EXPECT_EQ(f.num_pages(), f.layout.pages_held(1280));
  EXPECT_TRUE(f.cache.evict_one());
  EXPECT_FALSE(f.cache.evict_one());
  EXPECT_EQ(f.cache.num_blocks(), 0);
}

TEST(PrefixCache, NeverEvictsWhatIsPinned) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 2000);
  f.compute(tokens, {640, 1280, 1920});
  PrefixCache::Node* const middle = f.cache.find("", std::span(tokens).first(1281)).node;
  f.cache.pin(middle);
  while (f.cache.evict_one()) {
  }
  EXPECT_EQ(f.hit(tokens), 1280);
  EXPECT_EQ(f.num_pages(), f.layout.pages_held(1280));
  f.cache.unpin(middle);
  EXPECT_TRUE(f.cache.evict_one());
  EXPECT_EQ(f.num_pages(), 0);
}

TEST(PrefixCache, AHitDoesNotRefreshCheckpointsAboveIt) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 2000), other = tokens_of(2, 700);
  f.compute(tokens, {640, 1280});
  f.compute(other, {640});
  f.cache.use(f.cache.find("", tokens));  // at 1280
  EXPECT_TRUE(f.cache.evict_one());       // the one at 640, which is older than the other's
  EXPECT_EQ(f.hit(other), 640);
  EXPECT_EQ(f.hit({tokens.begin(), tokens.begin() + 1000}), 0);
  EXPECT_EQ(f.hit(tokens), 1280);
}

TEST(PrefixCache, AsksBeforeItGrows) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 1280);
  f.compute(tokens, {640});
  SimulatedSequence sequence(f.layout, f.pool);
  sequence.begin(640, f.cache.use(f.cache.find("", tokens)));
  sequence.pass(tokens, 640);
  const int64_t before = f.num_pages();
  PrefixCache::Growth asked;
  const auto refuse = [&](const PrefixCache::Growth& growth) {
    asked = growth;
    while (f.cache.evict_one()) {  // what the growth was counted on stays
    }
    return false;
  };
  EXPECT_EQ(f.cache.store("", tokens, sequence, refuse), nullptr);
  EXPECT_EQ(asked.lasting, 2 * 10);  // a page a block in two tables
  EXPECT_EQ(asked.window, 4 * 2);    // two blocks are live in each of four
  EXPECT_LE(f.num_pages(), before);
  EXPECT_NE(f.cache.store("", tokens, sequence, always), nullptr);
  sequence.clear();
  EXPECT_EQ(f.pool.num_in_use(), f.num_pages());
}

TEST(PrefixCache, LeavesNoBlockThatNobodyCanBeginAt) {
  Fixture f;
  const std::vector<int32_t> common = tokens_of(1, 640);
  f.compute(joined(common, tokens_of(2, 640)), {640, 1280});
  EXPECT_TRUE(f.cache.evict_one());  // of the checkpoint at 640 its window pages
  const std::vector<int32_t> other = joined(common, tokens_of(3, 640));
  SimulatedSequence sequence(f.layout, f.pool);
  sequence.pass(other, 1280);
  const auto refuse = [&](const PrefixCache::Growth& growth) {
    EXPECT_EQ(growth.lasting, 2 * 10);
    EXPECT_TRUE(f.cache.evict_one());  // the branch behind the common text
    EXPECT_GT(f.cache.num_blocks(), 0);
    return false;
  };
  EXPECT_EQ(f.cache.store("", other, sequence, refuse), nullptr);
  EXPECT_EQ(f.cache.num_blocks(), 0);
  EXPECT_EQ(f.num_pages(), 0);
}

TEST(PrefixCache, StoresNothingWhereAPageIsMissing) {
  Fixture f;
  const std::vector<int32_t> tokens = tokens_of(1, 1280);
  SimulatedSequence sequence(f.layout, f.pool);
  sequence.pass(tokens, 1280);
  sequence.release_dead();
  EXPECT_EQ(f.cache.store("", std::span(tokens).first(640), sequence, always), nullptr);
  EXPECT_EQ(f.cache.num_blocks(), 0);
  EXPECT_NE(f.cache.store("", tokens, sequence, always), nullptr);
}

/// A cache with a host beside it, whose copies are made when asked for.
struct HostFixture {
  explicit HostFixture(int64_t host_pages, const std::string& sparse = "sink=1,window=3,stride=0")
      : layout(plan_of(3, {1}, sparse), {3, 2, 16, PageType::kBfloat16}),
        pages(layout, pool, host_pages) {}

  void store(const std::vector<int32_t>& tokens, const std::vector<int64_t>& boundaries) {
    SimulatedSequence sequence(layout, pool);
    for (const int64_t boundary : boundaries) {
      sequence.pass(tokens, boundary - sequence.length());
      ASSERT_NE(cache.store("", std::span(tokens).first(boundary), sequence, always), nullptr);
      sequence.release_dead();
    }
  }
  void evict_all() {
    while (cache.evict_one()) copy_all();
  }
  void copy_all() {
    while (pages.has_copies()) {
      host.begin(pages.begin_copies(7));
      host.end();
      pages.end_copies();
    }
  }
  /// Begins at the longest prefix; the pages that came from the host for it.
  int64_t use(const std::vector<int32_t>& tokens, int64_t expected_hit) {
    const PrefixCache::Match match = cache.find("", tokens);
    EXPECT_EQ(match.hit_tokens, expected_hit);
    if (match.node == nullptr) return 0;
    cache.pin(match.node);
    EXPECT_TRUE(cache.load(match));
    copy_all();
    SimulatedSequence sequence(layout, pool);
    sequence.begin(match.hit_tokens, cache.use(match));
    EXPECT_EQ(sequence.num_pages(), layout.pages_held(match.hit_tokens));
    EXPECT_TRUE(sequence.holds(tokens));
    cache.unpin(match.node);
    return match.pages_to_load;
  }

  KvLayout layout;
  SimulatedPool pool;
  SimulatedHost host{pool};
  CachedPages pages;
  PrefixCache cache{layout, pages, 1};
};

TEST(PrefixCacheOnTheHost, AHitNeedsTheLivePagesWhereverTheyAre) {
  for (const std::string& sparse : sparse_patterns()) {
    HostFixture f(10'000, sparse);
    const std::vector<int32_t> tokens = tokens_of(1, 1500);
    f.store(tokens, {640, 1344});
    f.evict_all();
    EXPECT_EQ(f.pages.on_device().total(), 0) << sparse;
    EXPECT_EQ(f.pool.num_in_use(), 0);
    EXPECT_EQ(f.cache.find("", tokens, /*on_host=*/false).hit_tokens, 0);
    const std::vector<int32_t> first(tokens.begin(), tokens.begin() + 641);
    EXPECT_EQ(f.use(first, 640), f.layout.pages_held(640)) << sparse;
    // What is there already does not come again; windows of 640 and 1344 tokens share no block,
    // but for those of all tokens.
    const int64_t there = PageDemand(f.layout).held(0, 640).lasting();
    EXPECT_LE(f.use(tokens, 1344), f.layout.pages_held(1344) - there) << sparse;
    EXPECT_EQ(f.use(tokens, 1344), 0);
  }
}

TEST(PrefixCacheOnTheHost, TheLeastRecentlyUsedThereMakesRoom) {
  const int64_t branch = HostFixture(0).layout.pages_held(640);
  HostFixture g(2 * branch + 1);
  for (uint64_t key = 1; key <= 3; ++key) {
    g.store(tokens_of(key, 700), {640});
    g.evict_all();
  }
  EXPECT_EQ(g.cache.find("", tokens_of(1, 700)).hit_tokens, 0);
  EXPECT_EQ(g.use(tokens_of(2, 700), 640), branch);
  EXPECT_EQ(g.use(tokens_of(3, 700), 640), branch);
  EXPECT_EQ(g.pages.on_host().total(), 0) << "what has come back is on one side alone";
}

TEST(PrefixCacheOnTheHost, ABranchThatIsTooLargeForItIsForgotten) {
  HostFixture f(20);
  f.store(tokens_of(1, 200), {128});
  f.evict_all();
  const int64_t kept = f.pages.on_host().total();
  ASSERT_GT(kept, 0);
  f.store(tokens_of(2, 1400), {1344});
  f.evict_all();
  EXPECT_EQ(f.pages.on_host().total(), kept) << "nothing goes in vain";
  EXPECT_EQ(f.cache.find("", tokens_of(2, 1400)).matched_tokens, 0);
  EXPECT_EQ(f.pages.on_device().total(), 0);
}

TEST(PrefixCacheOnTheHost, ComputingItAgainBringsItBack) {
  HostFixture f(10'000);
  const std::vector<int32_t> tokens = tokens_of(1, 1500);
  f.store(tokens, {640});
  f.evict_all();
  f.store(tokens, {640, 1280});
  EXPECT_EQ(f.cache.find("", tokens, /*on_host=*/false).hit_tokens, 1280);
  EXPECT_EQ(f.use(tokens, 1280), 0);
  EXPECT_EQ(f.pages.on_host().total(), 0);
}

TEST(PrefixCacheOnTheHost, WhatOnlyTheHostNeedsFollowsWhenItsPinGoes) {
  HostFixture f(10'000);
  const std::vector<int32_t> tokens = tokens_of(1, 1500);
  f.store(tokens, {640});
  const PrefixCache::Match middle = f.cache.find("", std::span(tokens).first(641));
  f.cache.pin(middle.node);
  f.store(tokens, {640, 1280});
  f.evict_all();
  EXPECT_EQ(f.cache.find("", tokens, /*on_host=*/false).hit_tokens, 640);
  EXPECT_EQ(f.cache.find("", tokens).hit_tokens, 1280);
  f.cache.unpin(middle.node);
  f.evict_all();
  EXPECT_EQ(f.pages.on_device().total(), 0);
  EXPECT_GT(f.use(tokens, 1280), 0);
}

}  // namespace
}  // namespace longgen
