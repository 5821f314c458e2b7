// Pages that several sequences share: forks, adopted pages, dead ones that are kept.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "longgen/kv_cache/sequence_cache.h"
#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/kv_cache/sequence_support.h"

namespace longgen {
namespace {

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

/// The pages that sequences hold, and why each is kept.
std::map<PageId, PageKind> pages_of(const std::vector<Written>& sequences) {
  std::map<PageId, PageKind> pages;
  for (const Written& one : sequences) {
    const KvLayout& layout = one.cache->layout();
    for (int64_t group = 0; group < layout.num_groups(); ++group) {
      for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
        const auto& table = one.cache->pages(group, head);
        for (int64_t j = 0; j < std::ssize(table); ++j) {
          pages[table[j]] = page_kind(layout, group * layout.shape().num_kv_heads + head, j);
        }
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
TEST(SharedPages, ForkedSequencesKeepTheirOwnTokens) {
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
      const std::map<PageId, PageKind> pages = pages_of(sequences);
      PageKinds kinds;
      for (const auto& [page, kind] : pages) ++(kinds.*kind);
      ASSERT_EQ(pool.pages_in_use(), static_cast<int64_t>(pages.size())) << step;
      ASSERT_EQ(pool.kinds_in_use(), kinds) << step;
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

TEST(SharedPages, AForkAtABlockTakesNoPageAndNeedsNoCopy) {
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

TEST(SharedPages, AdoptsLivePagesOfAnybody) {
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

TEST(SharedPages, RefusesPagesThatAreNotThoseOfItsTokens) {
  const KvLayout layout(plan_of(1, {}, "sink=1,window=2,stride=0"), {1, 1, 16, PageType::kFloat32});
  PagePool pool(layout.page_bytes());
  SequenceCache first(layout, pool), second(layout, pool);
  append(first, 650);  // blocks 0, 9 and 10
  const auto error_with = [&](const std::vector<HeldPage>& pages) {
    return error_of([&] { second.adopt(650, pages); });
  };
  std::vector<HeldPage> pages = held_pages(first);
  ASSERT_EQ(pages.size(), 3U);
  pages[1] = pages[0];
  EXPECT_EQ(error_with(pages), "[kv cache] page " + std::to_string(pages[0].page) +
                                   " for block 0 of table 0 is not live at 650 tokens, or not the "
                                   "first one given for it.");
  const std::vector<HeldPage> wrong_ones = {{0, 8, 1},  {1, 9, 1},  {-1, 9, 1},
                                            {0, 11, 1}, {0, -1, 1}, {0, 9, kNoPage}};
  for (const HeldPage& wrong : wrong_ones) {
    pages[1] = wrong;
    EXPECT_NE(error_with(pages).find("is not live at 650 tokens"), std::string::npos);
  }
  pages.pop_back();
  EXPECT_EQ(error_with(pages), "[kv cache] 650 tokens are held by 3 pages, found 2.");
  EXPECT_EQ(error_of([&] { first.adopt(0, {}); }),
            "[kv cache] only an empty sequence can adopt pages; found 650 tokens and 0 reserved "
            "ones.");
  EXPECT_EQ(second.num_pages(), 0);
  EXPECT_EQ(pool.pages_in_use(), 3);
}

TEST(SharedPages, DeadPagesCanBeForkedUntilTheyAreReleased) {
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

TEST(SharedPages, NoTwoSequencesHaveTheSameNumberOfChanges) {
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

TEST(SharedPages, ErrorsOfForks) {
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

}  // namespace
}  // namespace longgen
