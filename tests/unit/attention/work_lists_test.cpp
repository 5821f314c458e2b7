// What the GPU kernels visit, held against Pattern: every visible pair of blocks once, and nothing
// far beyond.
#include "longgen/attention/cuda/work_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "longgen/attention/cuda/tiles.h"
#include "longgen/base/check.h"
#include "tests/unit/error_text.h"

namespace longgen::cuda {
namespace {

constexpr int kNumKvHeads = 3;

std::vector<Pattern> patterns() {
  std::vector<Pattern> all = {Pattern(),
                              Pattern::parse("sink"),
                              Pattern::parse("blocksparse"),
                              Pattern::sparse(0, 0, 2, {0, 1, 1}),
                              Pattern::sparse(0, 0),
                              Pattern::sparse(3, 1)};
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int64_t>(random() % n); };
  for (int i = 0; i < 60; ++i) all.push_back(Pattern::sparse(below(4), below(9), below(8)));
  for (Pattern& pattern : all) pattern = pattern.for_heads(kNumKvHeads);
  return all;
}

struct Call {
  int64_t num_queries, num_keys;
  std::vector<int64_t> doc_starts;
};

std::vector<Call> calls() {
  return {{1, 1, {}},       {1, 1000, {}},
          {64, 64, {}},     {65, 65, {}},
          {700, 700, {}},   {130, 900, {}},
          {4000, 4000, {}}, {900, 901, {}},
          {640, 640, {0}},  {640, 640, {0, 1, 64, 65, 193, 450}}};
}

TEST(WorkListsTest, ViewIsWhatThePatternKeeps) {
  for (const Pattern& pattern : patterns()) {
    const BlockPattern numbers = block_pattern(pattern);
    for (int head = 0; head < kNumKvHeads; ++head) {
      for (int i = 0; i < 40; ++i) {
        for (int j = 0; j < 42; ++j) {
          const BlockView view = view_of(numbers, i, j, head);
          ASSERT_EQ(view != BlockView::none, pattern.keeps(i, j, head))
              << pattern.to_string() << " " << i << " " << j;
          ASSERT_EQ(view == BlockView::diagonal, pattern.keeps(i, j, head) && i == j);
        }
      }
    }
  }
}

/// Query blocks first to last of a KV head, and what they visit.
struct Visit {
  const Pattern& pattern;
  BlockPattern numbers;
  int head, first, last;
  KeyBlocks blocks;
};
/// visit(Visit) for all patterns and heads, and one or two query blocks from every one below
/// `end` on.
template <typename Function>
void for_each_visit(int end, const Function& visit) {
  for (const Pattern& pattern : patterns()) {
    const BlockPattern numbers = block_pattern(pattern);
    for (int head = 0; head < kNumKvHeads; ++head) {
      for (int first = 0; first < end; ++first) {
        for (int last = first; last < first + 2; ++last) {
          visit(Visit{pattern, numbers, head, first, last, {numbers, first, last, head}});
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(WorkListsTest, KeyBlocksAreTheVisibleOnesFromLateToEarly) {
  for_each_visit(40, [](const Visit& v) {
    std::vector<int64_t> found;
    for (int n = 0; n < v.blocks.count(); ++n) found.push_back(v.blocks[n]);
    std::set<int64_t> expected;
    for (const int64_t j : v.pattern.visible_blocks(v.first, v.last, v.head)) expected.insert(j);
    // Visited, though masked, without a window.
    for (int j = v.first; j <= v.last; ++j) expected.insert(j);
    ASSERT_EQ(std::set<int64_t>(found.begin(), found.end()), expected)
        << v.pattern.to_string() << " " << v.first;
    ASSERT_EQ(found.size(), expected.size())
        << "a block is visited twice: " << v.pattern.to_string();
  });
}

TEST(WorkListsTest, BlocksCalledWholeAreWholeForEveryQueryBlock) {
  int64_t called = 0, all = 0;
  for_each_visit(60, [&](const Visit& v) {
    for (int n = 0; n < v.blocks.count(); n += 2) {
      all += 1;
      if (!v.blocks.are_whole(n)) continue;
      called += 1;
      for (const int j : {v.blocks[n], v.blocks[n + 1]}) {
        for (int i = v.first; i <= v.last; ++i) {
          ASSERT_EQ(view_of(v.numbers, i, j, v.head), BlockView::whole)
              << v.pattern.to_string() << " " << i << " " << j;
        }
      }
    }
  });
  EXPECT_GT(called, all / 2) << "most steps of long lists should need no look at the pattern";
}

TEST(WorkListsTest, TilesHoldEveryQueryOnce) {
  for (const Call& call : calls()) {
    const QueryWork work = make_query_work(call.num_queries, call.num_keys, call.doc_starts);
    std::vector<int> seen(call.num_queries);
    for (size_t t = 0; t < work.tiles.size(); ++t) {
      const SequenceRows& rows = work.sequences[work.tiles[t].sequence];
      const int position = work.tiles[t].index * kTileRows;
      EXPECT_EQ(rows.first_block + position / kBlock, static_cast<int>(2 * t))
          << "statistics are laid out by tiles";
      for (int p = std::max(position, rows.begin); p < std::min(position + kTileRows, rows.end);
           ++p) {
        ++seen.at(p + rows.row_shift);
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), call.num_queries);
  }
}

/// Counts how often an item computes (sequence, KV head, query block, key block), and how often a
/// block's gradient is made.
struct Covered {
  std::map<std::tuple<int, int, int, int>, int> pairs;
  std::map<std::tuple<int, int, int>, int> results;
};

Covered covered(const KeyWork& work, const BlockPattern& pattern) {
  Covered found;
  std::map<int, int> partials;
  for (const KeyItem& item : work.items) {
    for (int half = 0; half < 2; ++half) {
      const int block = item.blocks[half];
      if (block < 0) continue;
      if (item.slot < 0) ++found.results[{item.sequence, item.kv_head, block}];
      if (item.slot >= 0) ++partials[2 * item.slot + half];
      for (int i = item.first_query; i < item.end_query; ++i) {
        if (view_of(pattern, i, block, item.kv_head) == BlockView::none) continue;
        if (item.is_shared() && (i - item.first_query) % 2 != half) continue;
        ++found.pairs[{item.sequence, item.kv_head, i, block}];
      }
    }
  }
  for (const KeySum& sum : work.sums) {
    ++found.results[{sum.sequence, sum.kv_head, sum.block}];
    for (int i = 0; i < sum.num_partials; ++i) {
      EXPECT_EQ(partials[sum.first_partial + i * sum.step], 1);
      partials.erase(sum.first_partial + i * sum.step);
    }
  }
  EXPECT_TRUE(partials.empty()) << "partial sums that nobody adds up";
  return found;
}

TEST(WorkListsTest, KeyItemsHoldEveryVisiblePairOnceAndEveryKeyBlock) {
  for (const Pattern& pattern : patterns()) {
    for (const Call& call : calls()) {
      const QueryWork rows = make_query_work(call.num_queries, call.num_keys, call.doc_starts);
      const KeyWork work = make_key_work(rows.sequences, pattern, kNumKvHeads);
      const Covered found = covered(work, block_pattern(pattern));
      size_t num_pairs = 0, num_blocks = 0;
      for (size_t s = 0; s < rows.sequences.size(); ++s) {
        const SequenceRows& sequence = rows.sequences[s];
        const int end = (sequence.end + kBlock - 1) / kBlock;
        num_blocks += end * kNumKvHeads;
        for (int head = 0; head < kNumKvHeads; ++head) {
          for (int i = sequence.begin / kBlock; i < end; ++i)
            num_pairs += pattern.visible_blocks(i, head).size();
        }
      }
      ASSERT_EQ(found.pairs.size(), num_pairs) << pattern.to_string() << " T " << call.num_queries;
      ASSERT_EQ(found.results.size(), num_blocks);
      for (const auto& [pair, count] : found.pairs) ASSERT_EQ(count, 1);
      for (const auto& [block, count] : found.results) ASSERT_EQ(count, 1);
    }
  }
}

TEST(WorkListsTest, LongColumnsAreCutAndTheLongestItemsComeFirst) {
  const QueryWork rows = make_query_work(1 << 17, 1 << 17, {});
  const KeyWork work = make_key_work(rows.sequences, Pattern::parse("sink").for_heads(8), 8);
  const auto length = [](const KeyItem& item) { return item.end_query - item.first_query; };
  EXPECT_EQ(work.sums.size(), 8U);  // the sink of every KV head
  EXPECT_EQ(work.num_slots, 8 * 7);
  EXPECT_EQ(length(work.items.front()), 293);  // of 2,048 query blocks
  EXPECT_TRUE(
      std::is_sorted(work.items.begin(), work.items.end(),
                     [&](const KeyItem& a, const KeyItem& b) { return length(a) > length(b); }));
}

TEST(WorkListsTest, PatternsBeyondTheKernelsNumbersAreRefused) {
  EXPECT_THROW(block_pattern(Pattern::sparse(1, 16, 40000).for_heads(2)), Error);
  EXPECT_THROW(block_pattern(Pattern::sparse(1, 16, 4).for_heads(kMaxKvHeads + 1)), Error);
  EXPECT_EQ(error_of([] { block_pattern(Pattern::window(512)); }),
            "[attend] on a GPU there are no sliding windows exact in tokens, found window_tokens "
            "512. Use --device cpu.");
}

}  // namespace
}  // namespace longgen::cuda
