#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>

#include "longgen/tokenizer/merge_symbols.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

/// The definition: merge the leftmost pair of the lowest rank until there is none.
std::vector<int32_t> merge_slowly(std::vector<int32_t> symbols, const PairTable& merges) {
  while (true) {
    PairTable::Merge best{PairTable::kNone, 0};
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const PairTable::Merge merge = merges.find(symbols[i], symbols[i + 1]);
      if (merge.rank < best.rank) {
        best = merge;
        at = i;
      }
    }
    if (best.rank == PairTable::kNone) return symbols;
    symbols[at] = best.id;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

/// Merges over tokens that are strings of "a" and "b", each pair making the joined string.
PairTable random_merges(std::mt19937& random) {
  std::map<std::string, int32_t> ids = {{"a", 0}, {"b", 1}};
  std::vector<std::string> tokens = {"a", "b"};
  PairTable merges;
  merges.reserve(60);
  for (uint32_t rank = 0; rank < 60; ++rank) {
    const std::string left = tokens[random() % tokens.size()],
                      right = tokens[random() % tokens.size()];
    const auto [it, is_new] = ids.try_emplace(left + right, static_cast<int32_t>(tokens.size()));
    if (is_new) tokens.push_back(left + right);
    if (merges.find(ids[left], ids[right]).rank == PairTable::kNone) {
      merges.insert(ids[left], ids[right], {rank, it->second});
    }
  }
  return merges;
}

TEST(MergeTest, ShortAndLongWordsFollowTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    const PairTable merges = random_merges(random);
    std::vector<int32_t> symbols(
        1 + random() % 300);  // both sides of the change from scanning to the heap
    for (int32_t& symbol : symbols) symbol = static_cast<int32_t>(random() % 2);
    const std::vector<int32_t> expected = merge_slowly(symbols, merges);
    symbols.resize(merge_symbols(symbols, merges));
    ASSERT_EQ(symbols, expected) << "round " << round;
  }
}

TEST(MergeTest, OneWordOfAMegabyteTakesSeconds) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const std::string word(1 << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const std::vector<int32_t> ids = tokenizer.encode(word);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(ids.size(), word.size() / 4) << "all of it is \"aaaa\"";
  EXPECT_EQ(tokenizer.decode(ids), word);
}

}  // namespace
}  // namespace longgen
