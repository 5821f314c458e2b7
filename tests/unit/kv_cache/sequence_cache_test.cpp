#include "longgen/kv_cache/sequence_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/kv_cache/sequence_support.h"

namespace longgen {
namespace {

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
