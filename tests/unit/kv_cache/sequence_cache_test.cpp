#include "longgen/kv_cache/sequence_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "longgen/base/check.h"
#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

void append(SequenceCache& cache, int64_t num_tokens) {
  ASSERT_TRUE(cache.reserve(num_tokens));
  cache.commit();
}

/// Is there a page? block() refuses otherwise.
bool has_page(const SequenceCache& cache, int64_t layer, int64_t kv_head, int64_t key_block) {
  try {
    return cache.block(layer, kv_head, key_block) != nullptr;
  } catch (const Error&) {
    return false;
  }
}

/// Every live block has a page, and no other block has.
void expect_live_blocks(const SequenceCache& cache, const LayerPlan& plan) {
  const KvShape& shape = cache.layout().shape();
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    const Pattern pattern = plan.pattern(layer, shape.num_kv_heads);
    for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
      for (int64_t j = 0; j < blocks_of(cache.length()); ++j) {
        ASSERT_EQ(has_page(cache, layer, head, j), seen_later(pattern, j, head, cache.length(), 40))
            << "layer " << layer << " head " << head << " block " << j << " at " << cache.length();
      }
    }
  }
}

TEST(SequenceCache, HoldsWhatTheLayoutPredicts) {
  std::mt19937_64 random(11);
  for (const std::string& sparse : sparse_patterns()) {
    for (const auto& full : std::vector<std::vector<int64_t>>{{}, {1, 2}, {0, 1, 2, 3, 4, 5}}) {
      const LayerPlan plan = plan_of(6, full, sparse);
      const KvLayout layout(plan, {6, 3, 16, PageType::kBfloat16});
      PagePool pool(layout.page_bytes());
      SequenceCache cache(layout, pool);
      while (cache.length() < 2500) {
        const auto count = static_cast<int64_t>(random() % (random() % 2 == 0 ? 4 : 300));
        const int64_t begin = cache.length();
        ASSERT_TRUE(cache.reserve(count));
        EXPECT_EQ(cache.length(), begin);
        EXPECT_EQ(pool.pages_in_use(), layout.pages_in_pass(begin, begin + count));
        EXPECT_EQ(pool.pages_in_use(), count_pages(layout, begin, begin + count));
        cache.commit();
        EXPECT_EQ(cache.length(), begin + count);
        EXPECT_EQ(pool.pages_in_use(), layout.pages_held(cache.length()));
        EXPECT_EQ(pool.bytes_in_use(), layout.kv_bytes(cache.length()));
        EXPECT_EQ(cache.kv_bytes(), layout.kv_bytes(cache.length()));
        expect_live_blocks(cache, plan);
      }
    }
  }
}

TEST(SequenceCache, HoldsWhatTheLayoutPredictsAtEveryLength) {
  const LayerPlan plan = plan_of(3, {1}, "sink=1,window=2,stride=3");
  const KvLayout layout(plan, {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  for (int64_t length = 1; length <= 1300; ++length) {
    append(cache, 1);
    ASSERT_EQ(pool.bytes_in_use(), layout.kv_bytes(length)) << length;
    ASSERT_EQ(pool.pages_in_use(), count_pages(layout, length, length)) << length;
  }
  EXPECT_EQ(pool.high_water(), layout.pages_peak(0, 1300, 1));
}

TEST(SequenceCache, ThreeClassesHoldWhatTheLayoutPredicts) {
  std::mt19937_64 random(12);
  for (const int64_t window_tokens : {1, 5, 63, 64, 65, 100, 129, 512}) {
    const LayerPlan plan = three_classes("sink=1,window=2,stride=3", window_tokens);
    const KvLayout layout(plan, {6, 2, 16, PageType::kFloat32});
    PagePool pool(layout.page_bytes());
    SequenceCache cache(layout, pool);
    while (cache.length() < 1500) {
      const auto count = static_cast<int64_t>(random() % (random() % 2 == 0 ? 4 : 300));
      const int64_t begin = cache.length();
      ASSERT_TRUE(cache.reserve(count));
      EXPECT_EQ(pool.pages_in_use(), layout.pages_in_pass(begin, begin + count));
      EXPECT_EQ(pool.pages_in_use(), count_pages(layout, begin, begin + count));
      cache.commit();
      EXPECT_EQ(pool.pages_in_use(), layout.pages_held(cache.length()));
      expect_live_blocks(cache, plan);
    }
  }
}

TEST(SequenceCache, AWindowKeepsTheBlocksOfItsTokensOnly) {
  const KvLayout layout(plan_of(2, {}, "window_tokens=64"), {2, 1, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  for (int64_t length = 1; length <= 400; ++length) {
    append(cache, 1);
    // The next query sees tokens length - 63 to length - 1 of those that are there.
    const int64_t first = std::max<int64_t>(0, length - 63);
    ASSERT_EQ(cache.num_pages(), (length - 1) / 64 - first / 64 + 1) << length;
  }
}

TEST(SequenceCache, FreedPagesAreUsedAgain) {
  const KvLayout layout(plan_of(4, {}, "sink"), {4, 2, 16, PageType::kFloat32});
  for (int64_t chunk : {1, 64, 100, 1000}) {
    PagePool pool(layout.page_bytes());
    SequenceCache cache(layout, pool);
    while (cache.length() < 20'000) append(cache, chunk);
    EXPECT_EQ(pool.high_water(), layout.pages_peak(0, 20'000, chunk)) << chunk;
    EXPECT_LE(pool.high_water(), 2 * (1 + 16 + chunk / 64 + 2)) << chunk;
  }
}

TEST(SequenceCache, PagesOfOneSequenceDoNotOverlap) {
  const LayerPlan plan =
      plan_of(17, {5, 6, 7, 8, 9, 10}, "sink=1,window=2,stride=0");  // padded: 11 of 12
  const KvLayout layout(plan, {17, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  append(cache, 300);
  std::vector<std::byte*> blocks;
  for (int64_t layer = 0; layer < 17; ++layer) {
    for (int64_t head = 0; head < 2; ++head) {
      for (int64_t j = 0; j < 5; ++j) {
        if (has_page(cache, layer, head, j)) blocks.push_back(cache.block(layer, head, j));
      }
    }
  }
  std::sort(blocks.begin(), blocks.end());
  ASSERT_EQ(blocks.size(), 6u * 2 * 5 + 11u * 2 * 3);
  for (size_t i = 1; i < blocks.size(); ++i) {
    EXPECT_GE(blocks[i] - blocks[i - 1], layout.block_bytes());
  }
}

TEST(SequenceCache, ExhaustionAndCancelLeaveItAsItWas) {
  const LayerPlan plan = plan_of(3, {1}, "sink=1,window=2,stride=0");
  const KvLayout layout(plan, {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes(), 60 * layout.page_bytes());
  auto other = std::make_unique<SequenceCache>(layout, pool);
  SequenceCache cache(layout, pool);
  append(*other, 200);
  append(cache, 130);
  const int64_t in_use = pool.pages_in_use();
  const std::byte* block = cache.block(1, 1, 0);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_FALSE(cache.reserve(64 * 40));
    EXPECT_EQ(pool.pages_in_use(), in_use);
    EXPECT_EQ(cache.length(), 130);
    EXPECT_EQ(cache.reserved(), 0);
    ASSERT_TRUE(cache.reserve(100));
    cache.cancel();
    EXPECT_EQ(pool.pages_in_use(), in_use);
    EXPECT_EQ(cache.block(1, 1, 0), block);
    expect_live_blocks(cache, plan);
  }
  other.reset();
  EXPECT_EQ(pool.pages_in_use(), layout.pages_held(130));
  while (layout.pages_in_pass(cache.length(), cache.length() + 30) <= 60) {
    append(cache, 30);
    expect_live_blocks(cache, plan);
  }
  EXPECT_FALSE(cache.reserve(30));
  EXPECT_GT(cache.length(), 1300);  // 60 pages of 2 heads: 3 or 4 for each sparse group, 22 blocks
}

TEST(SequenceCache, ManySequencesShareOnePool) {
  const LayerPlan plan = plan_of(6, {2, 3}, "blocksparse");
  const KvLayout layout(plan, {6, 4, 16, PageType::kBfloat16});
  PagePool pool(layout.page_bytes());
  std::mt19937_64 random(3);
  std::vector<std::unique_ptr<SequenceCache>> caches;
  for (int step = 0; step < 600; ++step) {
    if (caches.size() < 12 && random() % 8 == 0) {
      caches.push_back(std::make_unique<SequenceCache>(layout, pool));
    }
    if (caches.empty()) continue;
    const size_t i = random() % caches.size();
    if (random() % 40 == 0) {
      caches.erase(caches.begin() + static_cast<int64_t>(i));
    } else if (random() % 40 == 0) {
      caches[i]->clear();
    } else {
      append(*caches[i], static_cast<int64_t>(random() % 400));
    }
    int64_t expected = 0;
    for (const auto& cache : caches) expected += layout.pages_held(cache->length());
    ASSERT_EQ(pool.pages_in_use(), expected);
  }
  for (const auto& cache : caches) expect_live_blocks(*cache, plan);
  caches.clear();
  EXPECT_EQ(pool.pages_in_use(), 0);
}

TEST(SequenceCache, ClearStartsAnew) {
  const LayerPlan plan = plan_of(2, {}, "sink=1,window=2,stride=0");
  const KvLayout layout(plan, {2, 1, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  append(cache, 1000);
  ASSERT_TRUE(cache.reserve(100));
  cache.clear();
  EXPECT_EQ(pool.pages_in_use(), 0);
  EXPECT_EQ(cache.length(), 0);
  EXPECT_EQ(cache.reserved(), 0);
  append(cache, 500);
  EXPECT_EQ(pool.pages_in_use(), layout.pages_held(500));
  expect_live_blocks(cache, plan);
}

TEST(SequenceCache, MillionTokens) {
  const KvLayout layout(plan_of(2, {}, "sink"), {2, 1, 16, PageType::kBfloat16});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  while (cache.length() < 1 << 20) append(cache, 8192);
  EXPECT_EQ(pool.bytes_in_use(), layout.kv_bytes(1 << 20));
  EXPECT_EQ(cache.num_pages(), 1 + 15);
}

/// A sequence and what its tokens are. Every token leaves a number in each block that holds it, as
/// its keys and values would.
struct Written {
  std::unique_ptr<SequenceCache> cache;
  std::vector<int32_t> text;

  int32_t number(int64_t position, int64_t layer, int64_t kv_head) const {
    return static_cast<int32_t>(text[position] * 1000 + layer * 10 + kv_head);
  }
  /// Calls visit(where the number of a token stands, the number) for tokens [begin, end).
  template <typename Visit>
  void for_each_number(int64_t begin, int64_t end, const Visit& visit) const {
    const KvLayout& layout = cache->layout();
    for (int64_t layer = 0; layer < layout.shape().num_layers; ++layer) {
      const KvLayout::Slot slot = layout.slot(layer);
      for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
        const auto& pages = cache->pages(slot.group, head);
        for (int64_t t = begin; t < end; ++t) {
          if (pages[t / 64] == kNoPage) continue;
          visit(reinterpret_cast<int32_t*>(cache->block(layer, head, t / 64)) + t % 64,
                number(t, layer, head));
        }
      }
    }
  }
  void write(int64_t begin) const {
    for_each_number(begin, static_cast<int64_t>(text.size()),
                    [](int32_t* place, int32_t value) { *place = value; });
  }
  int64_t num_wrong() const {
    int64_t wrong = 0;
    for_each_number(0, cache->length(),
                    [&](const int32_t* place, int32_t value) { wrong += *place == value ? 0 : 1; });
    return wrong;
  }
};

std::set<PageId> pages_of(const std::vector<Written>& sequences) {
  std::set<PageId> pages;
  for (const Written& one : sequences) {
    const KvLayout& layout = one.cache->layout();
    for (int64_t group = 0; group < layout.num_groups(); ++group) {
      for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
        const auto& table = one.cache->pages(group, head);
        pages.insert(table.begin(), table.end());
      }
    }
  }
  pages.erase(kNoPage);
  return pages;
}

/// Does `from` still have every block that a sequence of num_tokens needs?
bool can_fork(const SequenceCache& from, const LayerPlan& plan, int64_t num_tokens) {
  const KvShape& shape = from.layout().shape();
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    const Pattern pattern = plan.pattern(layer, shape.num_kv_heads);
    for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
      for (int64_t j = 0; j < blocks_of(num_tokens); ++j) {
        if (seen_later(pattern, j, head, num_tokens, 40) && !has_page(from, layer, head, j)) {
          return false;
        }
      }
    }
  }
  return true;
}

// Whatever they share, every sequence holds what it would hold by itself.
TEST(SequenceCache, ForkedSequencesKeepTheirOwnTokens) {
  constexpr int64_t kMostPages = 220;
  std::mt19937_64 random(12);
  const auto below = [&](uint64_t end) { return static_cast<int64_t>(random() % end); };
  int64_t num_forks = 0, num_refused = 0, num_full = 0, num_copies = 0;
  for (const std::string& sparse : sparse_patterns()) {
    const LayerPlan plan = plan_of(3, {1}, sparse);
    const KvLayout layout(plan, {3, 2, 16, PageType::kFloat32});
    PagePool pool(layout.page_bytes(), kMostPages * layout.page_bytes());
    std::vector<Written> sequences;
    for (int step = 0; step < 400; ++step) {
      if (sequences.empty() || (sequences.size() < 9 && random() % 10 == 0)) {
        sequences.push_back({std::make_unique<SequenceCache>(layout, pool), {}});
      }
      const size_t i = random() % sequences.size();
      Written& one = sequences[i];
      const int64_t length = one.cache->length(), in_use = pool.pages_in_use();
      const int64_t action = below(10);
      if (action == 0) {
        sequences.erase(sequences.begin() + static_cast<int64_t>(i));
      } else if (action == 1) {
        one.cache->clear();
        one.text.clear();
      } else if (action < 5 && sequences.size() < 9) {
        const int64_t at = random() % 2 == 0 ? length : below(length + 1);
        auto fork = std::make_unique<SequenceCache>(layout, pool);
        const bool expected = can_fork(*one.cache, plan, at);
        ASSERT_EQ(fork->fork_from(*one.cache, at), expected) << sparse << " at " << at;
        EXPECT_EQ(pool.pages_in_use(), in_use);
        EXPECT_EQ(fork->length(), expected ? at : 0);
        ++(expected ? num_forks : num_refused);
        if (expected) {
          Written twin = {std::move(fork), one.text};
          twin.text.resize(at);
          sequences.push_back(std::move(twin));
        }
      } else {
        const int64_t count = below(random() % 2 == 0 ? 4 : 200);
        const int64_t needed = one.cache->pages_needed(count);
        num_copies +=
            needed - (layout.pages_in_pass(length, length + count) - layout.pages_held(length));
        ASSERT_EQ(one.cache->reserve(count), needed <= pool.pages_left());
        if (one.cache->reserved() == 0 && count > 0) ++num_full;
        ASSERT_EQ(pool.pages_in_use(), in_use + (one.cache->reserved() > 0 ? needed : 0));
        if (one.cache->reserved() > 0) {
          for (int64_t t = 0; t < count; ++t) one.text.push_back(1 + step);
          one.write(length);
          if (action == 5) {
            one.cache->cancel();
            one.text.resize(length);
            ASSERT_EQ(pool.pages_in_use(), in_use);
          } else {
            one.cache->commit();
          }
        }
      }
      ASSERT_EQ(pool.pages_in_use(), static_cast<int64_t>(pages_of(sequences).size())) << step;
      for (const Written& each : sequences) {
        ASSERT_EQ(each.cache->num_pages(), layout.pages_held(each.cache->length()));
        ASSERT_EQ(each.num_wrong(), 0) << sparse << ", step " << step;
      }
    }
    sequences.clear();
    EXPECT_EQ(pool.pages_in_use(), 0);
    std::vector<PageId> all;
    EXPECT_TRUE(pool.allocate(kMostPages, all));  // each page was freed once
    EXPECT_EQ(std::set<PageId>(all.begin(), all.end()).size(), static_cast<size_t>(kMostPages));
  }
  EXPECT_GT(num_forks, 50);
  EXPECT_GT(num_refused, 10);
  EXPECT_GT(num_full, 10);
  EXPECT_GT(num_copies, 50);
}

TEST(SequenceCache, AForkAtABlockTakesNoPageAndNeedsNoCopy) {
  const KvLayout layout(plan_of(3, {1}, "sink=1,window=2,stride=0"),
                        {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache first(layout, pool), second(layout, pool);
  append(first, 640);
  const int64_t held = pool.pages_in_use();
  ASSERT_TRUE(second.fork_from(first, 640));
  EXPECT_EQ(pool.pages_in_use(), held);
  EXPECT_EQ(second.kv_bytes(), first.kv_bytes());
  append(first, 1);
  append(second, 1);
  // What both have now: the shared pages that live on, and two tails of their own.
  EXPECT_EQ(first.block(1, 0, 3), second.block(1, 0, 3));
  EXPECT_NE(first.block(1, 0, 10), second.block(1, 0, 10));
}

/// What a sequence holds, as others may adopt it.
std::vector<HeldPage> held_pages(const SequenceCache& cache) {
  std::vector<HeldPage> pages;
  const auto num_kv_heads = static_cast<int32_t>(cache.layout().shape().num_kv_heads);
  for (int32_t t = 0; t < cache.layout().num_groups() * num_kv_heads; ++t) {
    const std::vector<PageId>& table = cache.pages(t / num_kv_heads, t % num_kv_heads);
    for (int32_t j = 0; j < static_cast<int32_t>(table.size()); ++j) {
      if (table[j] != kNoPage) pages.push_back({t, j, table[j]});
    }
  }
  return pages;
}

TEST(SequenceCache, AdoptsLivePagesOfAnybody) {
  const KvLayout layout(plan_of(3, {1}, "sink=1,window=2,stride=4"),
                        {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache second(layout, pool);
  {
    SequenceCache first(layout, pool);
    append(first, 640);
    second.adopt(640, held_pages(first));
    EXPECT_EQ(second.length(), 640);
    EXPECT_EQ(second.num_pages(), first.num_pages());
    EXPECT_EQ(second.block(1, 0, 3), first.block(1, 0, 3));
    EXPECT_NE(second.page_changes(), first.page_changes());
  }
  EXPECT_EQ(pool.pages_in_use(), layout.pages_held(640));  // now the second one's alone
  append(second, 100);
  EXPECT_EQ(second.num_pages(), layout.pages_held(740));
  second.clear();
  EXPECT_EQ(pool.pages_in_use(), 0);
}

TEST(SequenceCache, RefusesPagesThatAreNotThoseOfItsTokens) {
  const KvLayout layout(plan_of(1, {}, "sink=1,window=2,stride=0"), {1, 1, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache first(layout, pool), second(layout, pool);
  append(first, 640);  // blocks 0, 8 and 9
  const auto error_with = [&](const std::vector<HeldPage>& pages) {
    return error_of([&] { second.adopt(640, pages); });
  };
  std::vector<HeldPage> pages = held_pages(first);
  ASSERT_EQ(pages.size(), 3U);
  pages[1] = pages[0];
  EXPECT_EQ(error_with(pages), "[kv cache] page " + std::to_string(pages[0].page) +
                                   " for block 0 of table 0 is not live at 640 tokens, or not the "
                                   "first one given for it.");
  const std::vector<HeldPage> wrong_ones = {{0, 7, 1},  {1, 8, 1},  {-1, 8, 1},
                                            {0, 10, 1}, {0, -1, 1}, {0, 8, kNoPage}};
  for (const HeldPage& wrong : wrong_ones) {
    pages[1] = wrong;
    EXPECT_NE(error_with(pages).find("is not live at 640 tokens"), std::string::npos);
  }
  pages.pop_back();
  EXPECT_EQ(error_with(pages), "[kv cache] 640 tokens are held by 3 pages, found 2.");
  EXPECT_EQ(error_of([&] { first.adopt(0, {}); }),
            "[kv cache] only an empty sequence can adopt pages; found 640 tokens and 0 reserved "
            "ones.");
  EXPECT_EQ(second.num_pages(), 0);
  EXPECT_EQ(pool.pages_in_use(), 3);
}

TEST(SequenceCache, DeadPagesCanBeForkedUntilTheyAreReleased) {
  const KvLayout layout(plan_of(3, {1}, "sink=1,window=2,stride=0"),
                        {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache first(layout, pool), second(layout, pool), third(layout, pool);
  ASSERT_TRUE(first.reserve(640));
  first.commit_keeping_dead();
  EXPECT_EQ(first.num_pages(), layout.pages_in_pass(0, 640));
  EXPECT_EQ(error_of([&] { (void)first.reserve(1); }),
            "[kv cache] the last pass left dead pages. Call release_dead() first.");
  ASSERT_TRUE(second.fork_from(first, 320));
  EXPECT_EQ(second.num_pages(), layout.pages_held(320));
  first.release_dead();
  EXPECT_EQ(first.num_pages(), layout.pages_held(640));
  EXPECT_FALSE(third.fork_from(first, 320));
  append(second, 10);
  append(first, 1);
  EXPECT_EQ(second.num_pages(), layout.pages_held(330));
}

TEST(SequenceCache, NoTwoSequencesHaveTheSameNumberOfChanges) {
  const KvLayout layout(plan_of(3, {1}, "sink"), {3, 2, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache first(layout, pool), second(layout, pool);
  append(first, 100);
  append(second, 100);
  EXPECT_NE(first.page_changes(), second.page_changes());
  SequenceCache fork(layout, pool);
  ASSERT_TRUE(fork.fork_from(first, 100));
  EXPECT_NE(fork.page_changes(), first.page_changes());
  const int64_t before = first.page_changes();
  append(first, 1);  // a copy of the page that both have
  EXPECT_NE(first.page_changes(), before);
}

TEST(SequenceCache, ErrorsOfForks) {
  const KvLayout layout(LayerPlan::all_full(1), {1, 1, 16, PageType::kFloat32}), same = layout;
  PagePool pool(layout.page_bytes());
  SequenceCache from(layout, pool), to(layout, pool), stranger(same, pool);
  append(from, 10);
  EXPECT_EQ(error_of([&] { (void)stranger.fork_from(from, 5); }),
            "[kv cache] sequences that share pages must have one layout and one pool.");
  EXPECT_EQ(error_of([&] { (void)to.fork_from(from, 11); }),
            "[kv cache] cannot fork at 11 of 10 tokens.");
  EXPECT_EQ(error_of([&] { (void)from.fork_from(to, 0); }),
            "[kv cache] only an empty sequence can be forked from another, and both only between "
            "passes; found 10 tokens, and 0 and 0 reserved ones.");
  ASSERT_TRUE(from.reserve(3));
  EXPECT_NE(error_of([&] { (void)to.fork_from(from, 5); }).find("and 0 and 3 reserved ones"),
            std::string::npos);
  EXPECT_EQ(pool.pages_in_use(), 1);
}

TEST(SequenceCache, Errors) {
  const KvLayout layout(LayerPlan::all_full(1), {1, 1, 16, PageType::kFloat32});
  PagePool wrong(layout.page_bytes() * 2), pool(layout.page_bytes());
  EXPECT_EQ(error_of([&] { SequenceCache cache(layout, wrong); }),
            "[kv cache] the pool has pages of 16384 bytes, the model needs pages of 8192. Make the "
            "pool with the layout's page_bytes().");
  SequenceCache cache(layout, pool);
  EXPECT_EQ(error_of([&] { (void)cache.reserve(-1); }),
            "[kv cache] cannot add -1 tokens to a sequence of 0: between 0 and 4294967296 in all.");
  EXPECT_NE(error_of([&] { (void)cache.reserve(KvLayout::kMaxTokens + 1); }).find("cannot add"),
            std::string::npos);
  ASSERT_TRUE(cache.reserve(5));
  EXPECT_EQ(error_of([&] { (void)cache.reserve(1); }),
            "[kv cache] 5 tokens are reserved already. Commit or cancel them first.");
}

}  // namespace
}  // namespace longgen
