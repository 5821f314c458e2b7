// Pattern: closed forms against counting, and properties on random patterns.
#include "longgen/attention/pattern.h"

#include <gtest/gtest.h>

#include <random>

#include "longgen/base/check.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

std::vector<Pattern> patterns() {
  std::vector<Pattern> all = {Pattern(), Pattern::parse("sink").for_heads(3),
                              Pattern::parse("blocksparse").for_heads(3), Pattern::sparse(0, 0),
                              Pattern::sparse(0, 0, 5).for_heads(3)};
  std::mt19937 random(7);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % n); };
  for (int i = 0; i < 60; ++i) {
    const int64_t stride = below(2) == 0 ? 0 : 1 + below(9);
    std::vector<int64_t> offsets;
    for (int64_t head = 0; head < 3 && stride > 0; ++head) offsets.push_back(below(stride));
    all.push_back(Pattern::sparse(below(4), below(6), stride, offsets));
  }
  return all;
}

TEST(PatternTest, KeepsIsTheDefinition) {
  const Pattern pattern = Pattern::sparse(2, 3, 4, {0, 1});
  EXPECT_TRUE(pattern.keeps(9, 1, 0));   // sink
  EXPECT_TRUE(pattern.keeps(9, 7, 0));   // window: 9 - 7 < 3
  EXPECT_FALSE(pattern.keeps(9, 6, 0));  // just outside
  EXPECT_TRUE(pattern.keeps(9, 4, 0));   // stride, offset 0
  EXPECT_FALSE(pattern.keeps(9, 4, 1));
  EXPECT_TRUE(pattern.keeps(9, 3, 1));    // (3 + 1) % 4 == 0
  EXPECT_FALSE(pattern.keeps(9, 10, 0));  // the future
  EXPECT_TRUE(Pattern().keeps(9, 5, 0));
}

TEST(PatternTest, VisitedPairsAndBlocksEqualCounting) {
  constexpr int64_t kTokens = 26 * kBlock;
  for (const Pattern& pattern : patterns()) {
    for (int64_t head = 0; head < 3; ++head) {
      std::vector<int64_t> before = {0};
      for (int64_t t = 0; t < kTokens; ++t) {
        const int64_t i = t / kBlock;
        int64_t pairs = 0;
        std::vector<int64_t> blocks;
        for (int64_t j = 0; j <= i; ++j) {
          if (!pattern.keeps(i, j, head)) continue;
          pairs += j < i ? kBlock : t % kBlock + 1;
          blocks.push_back(j);
        }
        before.push_back(before.back() + pairs);
        if (t % kBlock == 0) {
          ASSERT_EQ(pattern.visible_blocks(i, head), blocks) << pattern.to_string() << " " << i;
        }
      }
      for (int64_t end : {0, 1, 63, 64, 65, 500, 777, 1024, 1663, 1664}) {
        for (int64_t begin : {0, 1, 64, 100, 500}) {
          if (begin > end) continue;
          ASSERT_EQ(pattern.visited_pairs(begin, end, head), before[end] - before[begin])
              << pattern.to_string() << " [" << begin << ", " << end << ") head " << head;
        }
      }
    }
  }
}

TEST(PatternTest, LiveNeverFreesWhatKeepsLaterAsksFor) {
  constexpr int64_t kBlocks = 40;
  for (const Pattern& pattern : patterns()) {
    for (int64_t head = 0; head < 3; ++head) {
      for (int64_t tokens = 0; tokens <= 20 * kBlock; tokens += 37) {
        int64_t live = 0;
        for (int64_t j = 0; j < 20; ++j) {
          bool asked = false;
          for (int64_t i = tokens / kBlock; i < kBlocks; ++i) asked |= pattern.keeps(i, j, head);
          ASSERT_EQ(pattern.live(j, head, tokens), asked)
              << pattern.to_string() << " block " << j << " at " << tokens;
          live += asked && j * kBlock < tokens;
        }
        ASSERT_EQ(pattern.live_blocks(tokens, head), live)
            << pattern.to_string() << " at " << tokens;
      }
    }
  }
}

TEST(PatternTest, RangesOfQueryBlocksSeeTheUnion) {
  for (const Pattern& pattern : patterns()) {
    for (int64_t first = 0; first < 12; ++first) {
      std::vector<int64_t> expected;
      for (int64_t j = 0; j <= first + 4; ++j) {
        bool seen = false;
        for (int64_t i = first; i <= first + 4; ++i) seen |= pattern.keeps(i, j, 2);
        if (seen) expected.push_back(j);
      }
      ASSERT_EQ(pattern.visible_blocks(first, first + 4, 2), expected)
          << pattern.to_string() << " from " << first;
    }
  }
}

TEST(PatternTest, ClosedFormsHoldForLongSequences) {
  const Pattern sink = Pattern::parse("sink");
  const int64_t tokens = int64_t{1} << 30;
  // Beyond the start, 15 whole window blocks, the diagonal and the sink.
  const int64_t far = sink.visited_pairs(tokens - kBlock, tokens, 0);
  EXPECT_EQ(far, kBlock * 16 * kBlock + kBlock * (kBlock + 1) / 2);
  EXPECT_EQ(sink.live_blocks(tokens, 0), 1 + 15);
  EXPECT_EQ(Pattern().visited_pairs(0, tokens, 0), tokens * (tokens + 1) / 2);
}

TEST(PatternTest, ParsesPresetsAndReadsItselfBack) {
  EXPECT_EQ(Pattern::parse("sink"), Pattern::sparse(1, 16));
  EXPECT_EQ(Pattern::parse("blocksparse"), Pattern::sparse(1, 16, 16));
  EXPECT_EQ(Pattern::parse("window=8"), Pattern::sparse(0, 8));
  for (const char* text : {"full", "sink=1,window=16,stride=0", "sink=2,window=4,stride=8"}) {
    EXPECT_EQ(Pattern::parse(text).to_string(), text);
  }
  for (const char* bad : {"", "sinks", "sink=1", "sink=1,window=x", "window=16,window=2",
                          "window=-1", "sink=1,window=0", "window=16,stride=99999999999999999999",
                          "sink=1,window=1,", ",window=1", "sink=1,,window=1", ","}) {
    EXPECT_THROW(Pattern::parse(bad), Error) << bad;
  }
}

std::string sparse_error(const char* text) {
  return error_of([&] { Pattern::parse_sparse(text); });
}

TEST(PatternTest, FullIsNoSparsePatternAndNotNamedWhereItIsRefused) {
  EXPECT_EQ(Pattern::parse_sparse("sink=1,window=2"), Pattern::sparse(1, 2));
  EXPECT_EQ(sparse_error("full"),
            "[pattern] 'full' is full attention. Expected a sparse pattern: sink, blocksparse, or "
            "sink=S,window=W,stride=N; a model without sparse layers has the layers 'all'.");
  EXPECT_EQ(sparse_error("sink=1,window=1,"),
            "[pattern] 'sink=1,window=1,' is not a pattern: expected sink, blocksparse, or "
            "sink=S,window=W,stride=N (each once, in blocks of 64 tokens).");
}

TEST(PatternTest, DefaultOffsetsSpreadOverTheHeads) {
  EXPECT_EQ(Pattern::parse("blocksparse").for_heads(3).stride_offsets(),
            (std::vector<int64_t>{0, 5, 10}));
  EXPECT_EQ(Pattern::sparse(0, 1, 4).for_heads(6).stride_offsets(),
            (std::vector<int64_t>{0, 1, 2, 3, 0, 1}));
  EXPECT_THROW(Pattern::sparse(0, 1, 4, {0, 1}).for_heads(3), Error);
  EXPECT_THROW(Pattern::sparse(0, 1, 4, {4}), Error);
  EXPECT_THROW(Pattern::sparse(-1, 1), Error);
}

}  // namespace
}  // namespace longgen
