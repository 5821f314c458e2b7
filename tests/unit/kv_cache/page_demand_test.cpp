#include "longgen/kv_cache/page_demand.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

KvLayout layout_of(const LayerPlan& plan) {
  return KvLayout(plan, {plan.num_layers(), 3, 16, PageType::kBfloat16});
}

std::vector<KvLayout> layouts() {
  std::vector<KvLayout> all = {layout_of(LayerPlan::all_full(4)),
                               layout_of(three_classes("sink=1,window=2,stride=3", 100)),
                               layout_of(LayerPlan::hybrid(3, {1}, Pattern::sparse(1, 0, 4)))};
  for (const std::string& sparse : sparse_patterns()) {
    all.push_back(layout_of(plan_of(3, {1}, sparse)));
    all.push_back(layout_of(plan_of(3, {}, sparse)));
  }
  return all;
}

bool is_kept(const KvLayout& layout, int64_t group, int64_t head, int64_t block, int64_t begin) {
  const int64_t from = block < blocks_of(begin) ? begin : block * kBlock;
  return seen_later(layout.pattern(group), block, head, from, 40);
}

/// Counts one by one, by the definition of each kind.
PageKinds counted(const KvLayout& layout, int64_t shared, int64_t begin, int64_t end) {
  PageKinds pages;
  for (int64_t group = 0; group < layout.num_groups(); ++group) {
    const Pattern& pattern = layout.pattern(group);
    for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
      for (int64_t j = shared / kBlock; j < blocks_of(end); ++j) {
        if (!is_kept(layout, group, head, j, begin)) continue;
        if (pattern.is_full()) {
          ++pages.full;
        } else if (j < pattern.sink_blocks()) {
          ++pages.sink;
        } else if (!pattern.is_window() && pattern.keeps(j + 1'000'000, j, head)) {
          ++pages.stride;
        } else {
          ++pages.window;
        }
      }
    }
  }
  return pages;
}

TEST(PageDemand, KindsAreThoseThatCountingFinds) {
  std::mt19937_64 random(3);
  for (const KvLayout& layout : layouts()) {
    const PageDemand demand(layout);
    for (int trial = 0; trial < 60; ++trial) {
      const auto shared = static_cast<int64_t>(random() % 20) * kBlock;
      const auto begin = shared + static_cast<int64_t>(random() % 1500);
      const auto end = begin + static_cast<int64_t>(random() % (trial % 2 == 0 ? 3 : 700));
      ASSERT_EQ(demand.in_pass(shared, begin, end), counted(layout, shared, begin, end))
          << layout.pattern(layout.num_groups() - 1).to_string() << ", " << begin << " to " << end
          << " after " << shared;
    }
  }
}

TEST(PageDemand, APageCountsAsWhatItIsKeptFor) {
  std::mt19937_64 random(9);
  for (const KvLayout& layout : layouts()) {
    for (int trial = 0; trial < 20; ++trial) {
      const auto num_tokens = static_cast<int64_t>(random() % 2500);
      PageKinds pages;
      for (int64_t table = 0; table < layout.num_tables(); ++table) {
        for (int64_t block = 0; block < num_blocks(num_tokens); ++block) {
          if (layout.live(table, block, num_tokens)) ++(pages.*page_kind(layout, table, block));
        }
      }
      ASSERT_EQ(pages, PageDemand(layout).held(0, num_tokens)) << num_tokens;
    }
  }
}

TEST(PageDemand, OfAWholeSequenceAreThoseOfTheLayout) {
  std::mt19937_64 random(4);
  for (const KvLayout& layout : layouts()) {
    const PageDemand demand(layout);
    for (int trial = 0; trial < 200; ++trial) {
      const auto begin = static_cast<int64_t>(random() % 200'000);
      const auto end = begin + static_cast<int64_t>(random() % 9'000);
      ASSERT_EQ(demand.in_pass(0, begin, end).total(), layout.pages_in_pass(begin, end));
      ASSERT_EQ(demand.held(0, begin).total(), layout.pages_held(begin));
    }
  }
}

/// The most pages of any pass, over every way to cut the prompt: in pages, by the layout of the
/// tests above.
int64_t searched_peak(const PageDemand& demand, int64_t shared, const RemainingTokens& rest,
                      int64_t max_chunk) {
  int64_t peak = demand.held(shared, rest.done_tokens).total();
  for (int64_t a = rest.done_tokens; a < rest.prompt_tokens; a += kBlock) {
    for (int64_t b = a + kBlock; b < rest.prompt_tokens + kBlock; b += kBlock) {
      if (b - a > max_chunk) break;
      const int64_t end = std::min(b, rest.prompt_tokens);
      peak = std::max(peak, demand.in_pass(shared, a, end).total());
    }
  }
  for (int64_t t = std::max(rest.done_tokens, rest.prompt_tokens); t < rest.end_tokens; ++t) {
    peak = std::max(peak, demand.in_pass(shared, t, t + 1).total());
  }
  return peak;
}

TEST(PageDemand, PeakIsThatOfTheWorstWayToCut) {
  std::mt19937_64 random(5);
  for (const KvLayout& layout : layouts()) {
    const PageDemand demand(layout);
    for (int trial = 0; trial < 40; ++trial) {
      const auto shared = static_cast<int64_t>(random() % 10) * kBlock;
      const auto done = shared + static_cast<int64_t>(random() % 4) * kBlock;
      const auto prompt = done + 1 + static_cast<int64_t>(random() % 1500);
      const auto end = prompt + static_cast<int64_t>(random() % 400);
      const auto chunk = static_cast<int64_t>(1 + random() % 16) * kBlock;
      const RemainingTokens rest = {done, prompt, end};
      ASSERT_EQ(demand.peak(shared, rest, chunk).total(),
                searched_peak(demand, shared, rest, chunk))
          << layout.pattern(layout.num_groups() - 1).to_string() << ": " << shared << ", " << done
          << ", " << prompt << ", " << end << " by " << chunk;
      const RemainingTokens decoding = {prompt, prompt, end};
      ASSERT_EQ(demand.peak(shared, decoding, chunk).total(),
                searched_peak(demand, shared, decoding, chunk));
    }
  }
}

TEST(PageDemand, PeakOfEqualChunksIsThatOfTheLayout) {
  for (const KvLayout& layout : layouts()) {
    const PageDemand demand(layout);
    for (const int64_t chunk : {64, 512, 8192}) {
      for (const int64_t prompt : {8192, 16384, 131072}) {
        const int64_t peak = demand.peak(0, {0, prompt, prompt + 300}, chunk).total();
        EXPECT_EQ(peak, std::max(layout.pages_peak(0, prompt, chunk),
                                 layout.pages_peak(prompt, prompt + 300, 1)));
        // A last chunk that is shorter, or chunks that differ, may take less, never more.
        EXPECT_LE(layout.pages_peak(0, prompt - 100, chunk),
                  demand.peak(0, {0, prompt - 100, prompt}, chunk).total());
      }
    }
  }
}

TEST(PageDemand, FiguresOfSmolLM2) {
  const LayerPlan plan = plan_of(30, {10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, "sink");
  const PageDemand demand(KvLayout(plan, {30, 3, 64, PageType::kBfloat16}));
  const PageKinds held = demand.held(0, 16'384);  // docs/develop/kv_cache.md: 864 pages
  EXPECT_EQ(held, (PageKinds{.full = 768, .sink = 6, .stride = 0, .window = 90}));
  EXPECT_EQ(demand.peak(0, {0, 16'384, 16'384}, 512).total(), 912);
  // With all but the last block shared, that block is new in one full and two sparse groups.
  EXPECT_EQ(demand.peak(16'320, {16'320, 16'384, 16'384}, 512).total(), 9);
  EXPECT_TRUE(demand.has_windows());
  EXPECT_FALSE(
      PageDemand(KvLayout(LayerPlan::all_full(2), {2, 1, 16, PageType::kFloat32})).has_windows());
}

TEST(PageDemand, RefusesWhatIsNoRange) {
  const PageDemand demand(layout_of(LayerPlan::all_full(2)));
  EXPECT_ERROR(demand.in_pass(63, 100, 200), "after 63 shared ones are not a range");
  EXPECT_ERROR(demand.in_pass(128, 64, 200), "tokens 64 to 200 after 128 shared ones");
  EXPECT_ERROR(demand.in_pass(0, 300, 200), "tokens 300 to 200");
  EXPECT_ERROR(demand.held(0, KvLayout::kMaxTokens + 1), "are not a range");
  EXPECT_ERROR(demand.peak(0, {0, 100, 100}, 100), "chunks of a multiple of 64 tokens, found 100");
  EXPECT_ERROR(demand.peak(0, {65, 100, 100}, 64), "65 tokens of a prompt of 100 are done");
}

}  // namespace
}  // namespace longgen
