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
          const bool holds_tokens = j * kBlock < tokens;
          live += asked && holds_tokens;
          const bool is_old = j < pattern.oldest_in_window(tokens);
          const bool for_ever = pattern.live(j, head, kBlocks * kBlock);
          ASSERT_TRUE(!holds_tokens || (is_old ? asked == for_ever : asked))
              << pattern.to_string() << " block " << j << " at " << tokens;
        }
        ASSERT_EQ(pattern.live_blocks(tokens, head), live)
            << pattern.to_string() << " at " << tokens;
      }
    }
  }
}

const std::vector<int64_t>& window_sizes() {
  static const std::vector<int64_t> sizes = {1, 2, 5, 63, 64, 65, 100, 128, 129, 512, 1000, 4096};
  return sizes;
}

TEST(PatternTest, AWindowInTokensSeesTheLastOnesOnly) {
  for (const int64_t window : window_sizes()) {
    const Pattern pattern = Pattern::window(window);
    EXPECT_EQ(pattern, pattern.for_heads(3));
    for (int64_t query = 0; query < 300; ++query) {
      for (int64_t key = 0; key < 310; ++key) {
        ASSERT_EQ(pattern.sees(query, key, 2), key <= query && query - key < window)
            << window << " " << query << " " << key;
      }
    }
  }
}

TEST(PatternTest, BlockPatternsSeeWholeBlocks) {
  for (const Pattern& pattern : patterns()) {
    for (int64_t query = 0; query < 400; query += 7) {
      for (int64_t key = 0; key <= query; ++key) {
        ASSERT_EQ(pattern.sees(query, key, 1), pattern.keeps(query / kBlock, key / kBlock, 1));
      }
      EXPECT_FALSE(pattern.sees(query, query + 1, 1));
    }
  }
}

TEST(PatternTest, WindowsInTokensEqualCounting) {
  constexpr int64_t kBlocks = 70;  // past the longest window
  for (const int64_t window : window_sizes()) {
    const Pattern pattern = Pattern::window(window);
    // Query by query: the keys one by one where they change, the pairs as their sum.
    int64_t pairs = 0;
    for (int64_t query = 0; query < kBlocks * kBlock; ++query) {
      ASSERT_EQ(pattern.visited_pairs(0, query, 0), pairs) << window << " " << query;
      int64_t first = query;
      while (first > 0 && pattern.sees(query, first - 1, 0)) --first;
      pairs += query - first + 1;
      // A page is dead exactly when this query and all later ones are past its last token.
      ASSERT_EQ(pattern.oldest_in_window(query), first / kBlock) << window << " " << query;
      ASSERT_EQ(pattern.live_blocks(query, 0), (query + kBlock - 1) / kBlock - first / kBlock)
          << window << " " << query;
      for (const int64_t j : {first / kBlock - 1, first / kBlock, query / kBlock}) {
        if (j < 0) continue;
        ASSERT_EQ(pattern.live(j, 0, query), j * kBlock + kBlock > first) << window << " " << query;
      }
      ASSERT_EQ(pattern.blocks_seen(query, query, 0).front(), first / kBlock);
      ASSERT_EQ(pattern.blocks_seen(query, query, 0).back(), query / kBlock);
    }
  }
}

TEST(PatternTest, BlocksOfAWindowInTokensAreThoseThatSomeTokenSees) {
  for (const int64_t window : window_sizes()) {
    const Pattern pattern = Pattern::window(window);
    for (int64_t i = 0; i < 5; ++i) {
      for (int64_t j = 0; j < 6; ++j) {
        bool seen = false;
        for (int64_t t = i * kBlock; t < (i + 1) * kBlock; ++t) {
          for (int64_t s = j * kBlock; s < (j + 1) * kBlock; ++s) seen |= pattern.sees(t, s, 0);
        }
        ASSERT_EQ(pattern.keeps(i, j, 0), seen) << window << " " << i << " " << j;
      }
    }
    for (const auto& [first, last] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 0}, {0, 63}, {0, 64}, {63, 64}, {70, 70}, {70, 200}, {128, 128}, {190, 300}}) {
      std::vector<int64_t> expected;
      for (int64_t j = 0; j <= last / kBlock; ++j) {
        bool seen = false;
        for (int64_t t = first; t <= last; ++t) {
          for (int64_t s = j * kBlock; s < (j + 1) * kBlock; ++s) seen |= pattern.sees(t, s, 0);
        }
        if (seen) expected.push_back(j);
      }
      EXPECT_EQ(pattern.blocks_seen(first, last, 0), expected) << window << " " << first;
    }
    for (int64_t first = 0; first < 5; ++first) {
      EXPECT_EQ(pattern.visible_blocks(first, first + 2, 0),
                pattern.blocks_seen(first * kBlock, (first + 3) * kBlock - 1, 0));
    }
  }
}

TEST(PatternTest, BlocksSeenByTokensAreThoseOfTheirBlocks) {
  for (const Pattern& pattern : patterns()) {
    EXPECT_EQ(pattern.blocks_seen(70, 70, 1), pattern.visible_blocks(1, 1));
    EXPECT_EQ(pattern.blocks_seen(70, 700, 1), pattern.visible_blocks(1, 10, 1));
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
  const Pattern window = Pattern::window(4096);
  EXPECT_EQ(window.visited_pairs(tokens - kBlock, tokens, 0), kBlock * 4096);
  EXPECT_EQ(window.live_blocks(tokens, 0), 64);
  EXPECT_EQ(Pattern::window(2 * tokens).visited_pairs(0, tokens, 0), tokens * (tokens + 1) / 2);
}

TEST(PatternTest, ParsesPresetsAndReadsItselfBack) {
  EXPECT_EQ(Pattern::parse("sink"), Pattern::sparse(1, 16));
  EXPECT_EQ(Pattern::parse("blocksparse"), Pattern::sparse(1, 16, 16));
  EXPECT_EQ(Pattern::parse("wide"), Pattern::sparse(1, 32, 16));
  EXPECT_EQ(Pattern::parse("window=8"), Pattern::sparse(0, 8));
  EXPECT_EQ(Pattern::parse("window_tokens=4096"), Pattern::window(4096));
  for (const char* text :
       {"full", "sink=1,window=16,stride=0", "sink=2,window=4,stride=8", "window_tokens=5"}) {
    EXPECT_EQ(Pattern::parse(text).to_string(), text);
  }
  for (const char* bad :
       {"", "sinks", "sink=1", "sink=1,window=x", "window=16,window=2", "window=-1",
        "sink=1,window=0", "window=16,stride=99999999999999999999", "sink=1,window=1,", ",window=1",
        "sink=1,,window=1", ",", "window_tokens=0", "window_tokens=", "window_tokens=5,sink=1",
        "window_tokens", "window_tokens=-1"}) {
    EXPECT_THROW(Pattern::parse(bad), Error) << bad;
  }
}

std::string sparse_error(const char* text) {
  return error_of([&] { Pattern::parse_sparse(text); });
}

TEST(PatternTest, FullIsNoSparsePatternAndNotNamedWhereItIsRefused) {
  EXPECT_EQ(Pattern::parse_sparse("sink=1,window=2"), Pattern::sparse(1, 2));
  EXPECT_EQ(
      sparse_error("full"),
      "[pattern] 'full' is full attention. Expected a sparse pattern: sink, blocksparse, wide, or "
      "sink=S,window=W,stride=N; a model without sparse layers has the layers 'all'.");
  EXPECT_EQ(sparse_error("sink=1,window=1,"),
            "[pattern] 'sink=1,window=1,' is not a pattern: expected sink, blocksparse, wide, or "
            "sink=S,window=W,stride=N (each once, in blocks of 64 tokens).");
}

TEST(PatternTest, AWindowInTokensIsNoSparsePatternOfAUser) {
  EXPECT_EQ(sparse_error("window_tokens=512"),
            "[pattern] 'window_tokens=512' is not a pattern: expected sink, blocksparse, wide, or "
            "sink=S,window=W,stride=N (each once, in blocks of 64 tokens).");
}

std::string op_error(int64_t sink, int64_t window, int64_t stride, int64_t window_tokens) {
  try {
    Pattern::from_op(sink, window, stride, {}, window_tokens, 2);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PatternTest, WindowTokensOfTheOpStandAlone) {
  EXPECT_EQ(Pattern::from_op(0, -1, 0, {}, 512, 2), Pattern::window(512));
  EXPECT_EQ(Pattern::from_op(0, -1, 0, {}, 0, 2), Pattern());
  EXPECT_EQ(op_error(1, 16, 0, 512),
            "[pattern] window_tokens 512 stands alone: expected sink_blocks 0, window_blocks -1, "
            "stride_blocks 0 and no stride_offsets beside it, found 1, 16, 0 and 0.");
  EXPECT_EQ(op_error(0, -1, 0, -3),
            "[pattern] window_tokens must be between 1 and 70368744177663, found -3.");
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
