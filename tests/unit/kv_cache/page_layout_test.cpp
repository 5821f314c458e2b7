#include "longgen/kv_cache/page_layout.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <set>

#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

std::vector<int64_t> first_layers(int64_t count) {
  std::vector<int64_t> layers(count);
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

KvLayout layout_of(int64_t num_layers, int64_t num_full, const std::string& sparse = "sink",
                   int64_t num_kv_heads = 3) {
  return KvLayout(plan_of(num_layers, first_layers(num_full), sparse),
                  {num_layers, num_kv_heads, 64, PageType::kFloat32});
}

TEST(PageLayout, GroupsByTheRule) {
  struct Case {
    int64_t num_layers, num_full, layers_per_group, num_groups;
  };
  for (const Case& c : std::vector<Case>{
           {30, 10, 10, 3},  // one third full: one full group, two sparse ones
           {24, 8, 8, 3},    //
           {32, 11, 11, 3},  // 21 sparse layers in 22 slots
           {17, 6, 6, 3},    // 11 in 12
           {80, 27, 27, 3},  // 28 would pass, but leave a slot of the full group unused
           {64, 21, 22, 3},  // one free slot in the full group, one in the second sparse one
           {28, 9, 1,
            28},  // 9 would leave 8 of 36 slots unused, 3 would leave 2 of 30: more than 1/16
           {30, 30, 30, 1},  // all full
           {30, 0, 30, 1},   // all sparse
           {30, 1, 1, 30},   // one full layer
           {30, 20, 10, 3},  // two thirds full
           {30, 15, 15, 2},  //
           {1, 1, 1, 1},     //
           {2, 1, 1, 2},     //
           {36, 24, 12, 3}}) {
    const KvLayout layout = layout_of(c.num_layers, c.num_full);
    EXPECT_EQ(layout.layers_per_group(), c.layers_per_group)
        << c.num_full << " of " << c.num_layers;
    EXPECT_EQ(layout.num_groups(), c.num_groups) << c.num_full << " of " << c.num_layers;
    EXPECT_EQ(layout.page_bytes(), c.layers_per_group * 2 * 64 * 64 * 4);
  }
}

TEST(PageLayout, PaddingIsAtMostOneSixteenthAtEveryLength) {
  for (int64_t num_layers = 1; num_layers <= 80; ++num_layers) {
    for (int64_t num_full = 0; num_full <= num_layers; ++num_full) {
      const KvLayout layout = layout_of(num_layers, num_full, "sink", 1);
      for (int64_t tokens : {1, 64, 1000, 1025, 4096, 131072, 1 << 30}) {
        const int64_t needed =
            (num_full * Pattern().live_blocks(tokens, 0) +
             (num_layers - num_full) * Pattern::sparse(1, 16).live_blocks(tokens, 0)) *
            layout.block_bytes();
        EXPECT_GE(layout.kv_bytes(tokens), needed);
        EXPECT_LE(layout.kv_bytes(tokens), needed + needed / 16)
            << num_full << " of " << num_layers << " full, " << tokens << " tokens";
      }
    }
  }
}

TEST(PageLayout, NoOtherSizeWithAsFewGroupsNeedsFewerBytes) {
  const Pattern full = Pattern(), sparse = Pattern::sparse(1, 16);
  for (int64_t num_layers = 1; num_layers <= 80; ++num_layers) {
    for (int64_t num_full = 0; num_full <= num_layers; ++num_full) {
      const KvLayout layout = layout_of(num_layers, num_full, "sink", 1);
      for (int64_t size = 1; size <= num_layers; ++size) {
        const int64_t full_groups = (num_full + size - 1) / size;
        const int64_t sparse_groups = (num_layers - num_full + size - 1) / size;
        if (full_groups + sparse_groups != layout.num_groups()) continue;
        for (int64_t tokens : {64, 1025, 131072}) {
          const int64_t bytes = layout.block_bytes() * size *
                                (full_groups * full.live_blocks(tokens, 0) +
                                 sparse_groups * sparse.live_blocks(tokens, 0));
          EXPECT_LE(layout.kv_bytes(tokens), bytes)
              << num_full << " of " << num_layers << " full, groups of " << size;
        }
      }
    }
  }
}

TEST(PageLayout, EveryLayerHasASlotOfItsOwnInItsClass) {
  for (const auto& full : std::vector<std::vector<int64_t>>{
           {5, 6, 7, 8, 9, 10}, {0, 16}, {}, {3, 16}, first_layers(17)}) {
    const LayerPlan plan = plan_of(17, full, "blocksparse");
    const KvLayout layout(plan, {17, 2, 32, PageType::kBfloat16});
    std::set<std::pair<int64_t, int64_t>> taken;
    for (int64_t layer = 0; layer < 17; ++layer) {
      const KvLayout::Slot slot = layout.slot(layer);
      EXPECT_TRUE(taken.insert({slot.group, slot.index}).second);
      EXPECT_LT(slot.group, layout.num_groups());
      EXPECT_LT(slot.index, layout.layers_per_group());
      EXPECT_EQ(layout.pattern(slot.group), plan.pattern(layer, 2)) << layer;
    }
  }
}

TEST(PageLayout, PagesAreThoseThatCountingFinds) {
  for (const std::string& sparse : sparse_patterns()) {
    for (int64_t num_full : {0, 2, 6}) {
      const KvLayout layout = layout_of(6, num_full, sparse);
      for (int64_t tokens = 0; tokens < 3000; tokens += tokens % 64 < 3 ? 1 : 29) {
        EXPECT_EQ(layout.pages_held(tokens), count_pages(layout, tokens, tokens))
            << sparse << " " << num_full << " full, " << tokens;
        EXPECT_EQ(layout.kv_bytes(tokens), layout.pages_held(tokens) * layout.page_bytes());
      }
    }
  }
}

// Without a window, a block is stored only where it is a sink or on the stride.
TEST(PageLayout, PatternsWithoutWindow) {
  const KvLayout layout(LayerPlan::hybrid(1, {}, Pattern::sparse(1, 0, 4)),
                        {1, 2, 16, PageType::kFloat32});
  for (int64_t tokens : {0, 1, 64, 65, 255, 256, 257, 1000}) {
    EXPECT_EQ(layout.pages_held(tokens), count_pages(layout, tokens, tokens)) << tokens;
    EXPECT_EQ(layout.pages_in_pass(0, tokens), layout.pages_held(tokens)) << tokens;
  }
  EXPECT_EQ(layout.pages_held(1000),
            5 + 4);  // head 0: 0, 4, 8, 12; head 1 (offset 2): 0, 2, 6, ...
}

TEST(PageLayout, PeakIsThatOfTheChunksOneByOne) {
  std::mt19937_64 random(7);
  for (const std::string& sparse : sparse_patterns()) {
    for (int64_t num_full : {0, 1, 3}) {
      const KvLayout layout = layout_of(3, num_full, sparse, 2);
      for (int trial = 0; trial < 30; ++trial) {
        const auto begin = static_cast<int64_t>(random() % 700);
        const auto end = begin + static_cast<int64_t>(random() % 3000);
        const auto chunk =
            static_cast<int64_t>(trial < 10 ? 1 + random() % 130 : 1 + random() % 2000);
        int64_t peak = count_pages(layout, begin, begin);
        for (int64_t a = begin; a < end; a += chunk) {
          peak = std::max(peak, count_pages(layout, a, std::min(a + chunk, end)));
        }
        EXPECT_EQ(layout.pages_peak(begin, end, chunk), peak)
            << sparse << " " << num_full << " full, " << begin << " to " << end << " by " << chunk;
      }
    }
  }
}

/// Counts the bytes that the layers need at a length, one by one, without padding.
int64_t needed_bytes(const KvLayout& layout, const LayerPlan& plan, int64_t tokens) {
  int64_t blocks = 0;
  for (int64_t layer = 0; layer < plan.num_layers(); ++layer) {
    for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
      blocks += plan.pattern(layer, layout.shape().num_kv_heads).live_blocks(tokens, head);
    }
  }
  return blocks * layout.block_bytes();
}

/// A plan of three classes: the first layers are full, the next ones sparse, the others windows.
LayerPlan plan_of_counts(int64_t num_full, int64_t num_sparse, int64_t num_windows,
                         int64_t window_tokens) {
  std::vector<int64_t> windows(num_windows);
  std::iota(windows.begin(), windows.end(), num_full + num_sparse);
  return plan_of(num_full + num_sparse + num_windows, first_layers(num_full), "sink")
      .with_windows(windows, window_tokens);
}

TEST(PageLayout, ThreeClassesArePaddedByAtMostOneSixteenthAtEveryLength) {
  for (const int64_t window : {1, 100, 512, 4096}) {
    for (int64_t num_full = 0; num_full <= 20; num_full += num_full < 6 ? 1 : 7) {
      for (int64_t num_sparse = 0; num_sparse <= 20; num_sparse += num_sparse < 6 ? 1 : 7) {
        for (int64_t num_windows = 1; num_windows <= 34; num_windows += 3) {
          const LayerPlan plan = plan_of_counts(num_full, num_sparse, num_windows, window);
          const KvLayout layout(plan, {plan.num_layers(), 1, 64, PageType::kBfloat16});
          for (const int64_t tokens : {1, 64, 300, 1025, 4500, 131072, 1 << 30}) {
            const int64_t needed = needed_bytes(layout, plan, tokens);
            EXPECT_GE(layout.kv_bytes(tokens), needed);
            EXPECT_LE(layout.kv_bytes(tokens), needed + needed / 16)
                << num_full << " full, " << num_sparse << " sparse, " << num_windows
                << " windows of " << window << ", " << tokens << " tokens";
          }
        }
      }
    }
  }
}

TEST(PageLayout, GroupsOfThreeClasses) {
  struct Case {
    int64_t num_full, num_sparse, num_windows, layers_per_group, num_groups;
  };
  for (const Case& c :
       std::vector<Case>{{2, 2, 2, 2, 3},    //
                         {1, 3, 22, 1, 26},  // Gemma 3 1B's 26, one full left
                         {4, 0, 22, 2, 13},  // 4 would leave 2 of 24 slots of the windows unused
                         {0, 0, 32, 32, 1},  // Mistral 7B v0.1
                         {10, 10, 10, 10, 3},
                         {10, 0, 20, 10, 3}}) {
    const LayerPlan plan = plan_of_counts(c.num_full, c.num_sparse, c.num_windows, 512);
    const KvLayout layout(plan, {plan.num_layers(), 1, 64, PageType::kBfloat16});
    EXPECT_EQ(layout.layers_per_group(), c.layers_per_group)
        << c.num_full << " " << c.num_sparse << " " << c.num_windows;
    EXPECT_EQ(layout.num_groups(), c.num_groups)
        << c.num_full << " " << c.num_sparse << " " << c.num_windows;
    std::set<std::pair<int64_t, int64_t>> taken;
    for (int64_t layer = 0; layer < plan.num_layers(); ++layer) {
      const KvLayout::Slot slot = layout.slot(layer);
      EXPECT_TRUE(taken.insert({slot.group, slot.index}).second);
      EXPECT_EQ(layout.pattern(slot.group), plan.pattern(layer, 1));
    }
  }
}

TEST(PageLayout, FiveClasses) {
  const LayerPlan plan = three_classes("sink=1,window=2,stride=5", 100)
                             .with_windows({2}, 640)
                             .with_pattern({5}, Pattern::sparse(2, 4));
  const KvLayout layout(plan, {6, 2, 64, PageType::kFloat32});
  EXPECT_EQ(layout.num_groups(), 6);
  for (int64_t layer = 0; layer < 6; ++layer) {
    EXPECT_EQ(layout.pattern(layout.slot(layer).group), plan.pattern(layer, 2));
  }
  for (const int64_t tokens : {0, 1, 64, 100, 640, 1000, 2000}) {
    EXPECT_EQ(layout.pages_held(tokens), count_pages(layout, tokens, tokens)) << tokens;
    EXPECT_EQ(layout.kv_bytes(tokens), needed_bytes(layout, plan, tokens)) << tokens;
  }
}

TEST(PageLayout, PagesOfThreeClassesAreThoseThatCountingFinds) {
  std::mt19937_64 random(8);
  for (const int64_t window : {1, 5, 63, 64, 65, 100, 512, 1000}) {
    const LayerPlan plan = three_classes("sink=1,window=2,stride=5", window);
    const KvLayout layout(plan, {6, 2, 64, PageType::kFloat32});
    for (int64_t tokens = 0; tokens < 1500; tokens += tokens % 64 < 3 ? 1 : 29) {
      ASSERT_EQ(layout.pages_held(tokens), count_pages(layout, tokens, tokens))
          << window << ", " << tokens;
    }
    for (int trial = 0; trial < 40; ++trial) {
      const auto begin = static_cast<int64_t>(random() % 700);
      const auto end = begin + static_cast<int64_t>(random() % 2500);
      const auto chunk = static_cast<int64_t>(trial < 20 ? 1 + random() % 130 : 1 + random() % 999);
      int64_t peak = count_pages(layout, begin, begin);
      for (int64_t a = begin; a < end; a += chunk) {
        peak = std::max(peak, count_pages(layout, a, std::min(a + chunk, end)));
      }
      ASSERT_EQ(layout.pages_peak(begin, end, chunk), peak)
          << window << ", " << begin << " to " << end << " by " << chunk;
    }
  }
}

TEST(PageLayout, SmolLm2) {
  const LayerPlan hybrid = plan_of(30, parse_full_layers("middle:1/3", 30), "sink");
  const KvLayout layout(hybrid, {30, 3, 64, PageType::kFloat32});
  EXPECT_EQ(layout.page_bytes(), 10 * 32768);
  EXPECT_EQ(layout.full_kv_bytes(16384), int64_t{30} * 3 * 256 * 32768);
  // At the start of block 256: all 256 blocks of the full layers, a sink and 15 window blocks (the
  // 16th is yet to come) of the two sparse groups.
  EXPECT_EQ(layout.kv_bytes(16384), int64_t{3} * (256 + 2 * 16) * 327680);
  EXPECT_EQ(layout.full_kv_bytes(16384),
            KvLayout(LayerPlan::all_full(30), layout.shape()).kv_bytes(16384));
}

// A loop over tokens or blocks would run for hours here.
TEST(PageLayout, ClosedFormsDoNotDependOnTheLength) {
  const KvLayout layout = layout_of(30, 10, "blocksparse", 8);
  const auto start = std::chrono::steady_clock::now();
  int64_t sum = 0;
  for (int64_t i = 0; i < 10'000; ++i) {
    sum += layout.kv_bytes(KvLayout::kMaxTokens - i) > 0;
    sum += layout.pages_peak(0, KvLayout::kMaxTokens - i, 1 + i % 3) > 0;
  }
  EXPECT_EQ(sum, 20'000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(PageLayout, LargestModelDoesNotOverflow) {
  const KvLayout layout(LayerPlan::all_full(126), {126, 128, 8192, PageType::kFloat32});
  EXPECT_EQ(layout.full_kv_bytes(KvLayout::kMaxTokens),
            KvLayout::kMaxTokens * 126 * 128 * 8192 * 2 * 4);
  EXPECT_EQ(layout.kv_bytes(KvLayout::kMaxTokens), layout.full_kv_bytes(KvLayout::kMaxTokens));
}

TEST(PageLayout, ErrorsSayWhatIsWrong) {
  const LayerPlan full = LayerPlan::all_full(2);
  EXPECT_EQ(error_of([&] {
              KvLayout(full, {2, 0, 64, PageType::kFloat32});
            }),
            "[kv cache] num_kv_heads must be between 1 and 65536, found 0. Check config.json.");
  EXPECT_EQ(
      error_of([&] {
        KvLayout(full, {2, 65536, 65536, PageType::kFloat32});
      }),
      "[kv cache] 2 layers of 65536 KV heads of 65536 would take 1 GiB or more for each token. "
      "Check config.json.");
  EXPECT_EQ(error_of([&] {
              KvLayout(full, {1, 1, 64, PageType::kFloat32});
            }),
            "[kv cache] the plan has 2 layers, the model 1.");
  const KvLayout layout(full, {2, 1, 64, PageType::kFloat32});
  EXPECT_EQ(error_of([&] { layout.pages_held(-1); }),
            "[kv cache] a number of tokens must be between 0 and 4294967296, found -1.");
  EXPECT_EQ(error_of([&] { layout.kv_bytes(KvLayout::kMaxTokens + 1); }),
            "[kv cache] a number of tokens must be between 0 and 4294967296, found 4294967297.");
  EXPECT_EQ(error_of([&] { layout.pages_peak(5, 10, 0); }),
            "[kv cache] tokens 5 to 10 in chunks of 0 are not a range.");
  EXPECT_EQ(error_of([&] { layout.pages_in_pass(5, 4); }),
            "[kv cache] tokens 5 to 4 are not a range.");
}

}  // namespace
}  // namespace longgen
