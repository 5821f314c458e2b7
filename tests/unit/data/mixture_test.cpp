#include "longgen/data/mixture.h"

#include <cmath>

#include "test_support.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

TEST(SourceOrderTest, SharesAreExactInEveryStretch) {
  for (const std::vector<double>& weights : std::vector<std::vector<double>>{
           {1}, {1, 1}, {78, 12, 10}, {0.1, 0.2, 0.3, 0.4}, {1e-6, 1e6}, {1, 1, 1, 1, 1, 1, 1}}) {
    for (const uint64_t seed : {0, 1, 99}) {
      const SourceOrder order(weights, seed);
      double sum = 0;
      for (const double weight : weights) sum += weight;
      constexpr int64_t kSamples = 3000;
      // counts[i][s]: of the first i samples, those of source s.
      std::vector<std::vector<int64_t>> counts = {std::vector<int64_t>(weights.size())};
      for (int64_t i = 0; i < kSamples; ++i) {
        const SourceOrder::Place place = order.place(i);
        ASSERT_EQ(place.index, counts.back()[place.source]) << "each sample of a source once";
        counts.push_back(counts.back());
        ++counts.back()[place.source];
      }
      for (int64_t begin = 0; begin < kSamples; begin += 37) {
        for (const int64_t length : {1, 10, 500, 2000}) {
          const int64_t end = std::min(begin + length, kSamples);
          for (size_t s = 0; s < weights.size(); ++s) {
            const double share = weights[s] / sum * static_cast<double>(end - begin);
            const auto found = static_cast<double>(counts[end][s] - counts[begin][s]);
            ASSERT_LE(std::abs(found - share), static_cast<double>(weights.size()));
          }
        }
      }
    }
  }
}

// The order is part of the contract: a run goes on with another build. The orders are from a second
// implementation, with Python's unbounded integers.
TEST(SourceOrderTest, OrdersNeverChange) {
  const auto sources = [](const std::vector<double>& weights, uint64_t seed, int64_t first) {
    std::string text;
    const SourceOrder order(weights, seed);
    for (int64_t i = first; i < first + 20; ++i) {
      text += static_cast<char>('a' + order.place(i).source);
    }
    return text;
  };
  EXPECT_EQ(sources({1, 1}, 0, 0), "babababababababababa");
  EXPECT_EQ(sources({5, 3, 2}, 7, 0), "babacabacababacabaca");
  EXPECT_EQ(sources({5, 3, 2}, 7, int64_t{1} << 50), "cabacababacabacababa");
  EXPECT_NE(sources({5, 3, 2}, 8, 0), sources({5, 3, 2}, 7, 0));
}

TEST(SourceOrderTest, FarSamplesHaveTheirShare) {
  const SourceOrder order({3, 1}, 5);
  const int64_t far = int64_t{1} << 61;
  const SourceOrder::Place place = order.place(far);
  const double share = place.source == 0 ? 0.75 : 0.25;
  EXPECT_NEAR(static_cast<double>(place.index), share * static_cast<double>(far), 2.0);
}

TEST(SourceOrderTest, WrongWeightsAreErrors) {
  for (const std::vector<double>& weights :
       std::vector<std::vector<double>>{{}, {0, 0}, {1, INFINITY}, {NAN, 1}}) {
    EXPECT_TRUE(contains(error_of([&] { SourceOrder(weights, 0); }), "expected a sum above 0"));
  }
}

class MixtureTest : public DataTest {
 protected:
  /// A dataset of documents of one letter.
  MixtureSource source(const std::string& name, char letter, double weight,
                       std::optional<int32_t> begin_id = {}) {
    std::string lines;
    for (int i = 1; i < 30; ++i) {
      lines += "{\"text\": \"" + std::string(static_cast<size_t>(i), letter) + "\"}\n";
    }
    PrepareOptions o = options({put(name + ".jsonl", lines)});
    o.output = dir_ / name;
    TextEncoder encoder = byte_encoder(258);
    encoder.begin_id = begin_id;
    prepare_dataset(encoder, o);
    return {dir_ / name, weight, PackingMode::packed, "r.toml: line 3: data.sources[0].path"};
  }
};

TEST_F(MixtureTest, SamplesAreThoseOfTheSources) {
  const MixtureSource a = source("a", 'a', 3), b = source("b", 'b', 1);
  const Mixture mixture({a, b}, kTrainSplit, {16, 4, false});
  const Packing first(mixture.dataset(0), {16, PackingMode::packed, 4, {}});
  const SourceOrder order({3, 1}, 4);
  int from_a = 0;
  for (int64_t i = 0; i < 100; ++i) {
    const Sample sample = mixture.sample(i);
    const bool is_a = std::ranges::find(sample.tokens, 'a') != sample.tokens.end();
    const bool is_b = std::ranges::find(sample.tokens, 'b') != sample.tokens.end();
    EXPECT_NE(is_a, is_b);
    const SourceOrder::Place place = order.place(i);
    EXPECT_EQ(is_a, place.source == 0);
    if (is_a) {
      EXPECT_EQ(sample.tokens, first.sample(place.index).tokens);
    }
    from_a += is_a;
  }
  EXPECT_EQ(from_a, 75);
}

TEST_F(MixtureTest, OneSourceIsItsPackingAndItsHash) {
  const MixtureSource a = source("a", 'a', 0.3), b = source("b", 'b', 1);
  const Mixture alone({a}, kTrainSplit, {16, 4, false}), both({a, b}, kTrainSplit, {16, 4, false});
  const Packing packing(alone.dataset(0), {16, PackingMode::packed, 4, {}});
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(alone.sample(i).tokens, packing.sample(i).tokens);
  EXPECT_EQ(alone.hash(), TokenDataset::open(a.path, kTrainSplit).hash());
  EXPECT_NE(both.hash(), alone.hash());
  EXPECT_NE(both.hash(), Mixture({b, a}, kTrainSplit, {16, 4, false}).hash());
}

TEST_F(MixtureTest, AnchorsBeginEveryPartOfADocument) {
  const MixtureSource a = source("a", 'a', 1, 257);
  const Mixture plain({a}, kTrainSplit, {16, 4, false}), anchored({a}, kTrainSplit, {16, 4, true});
  int put_in = 0;
  for (int64_t i = 0; i < 25; ++i) {
    const Sample before = plain.sample(i), sample = anchored.sample(i);
    ASSERT_EQ(sample.tokens.size(), 16u);
    ASSERT_EQ(sample.targets.size(), 16u);
    for (const int64_t start : sample.doc_starts) {
      EXPECT_EQ(sample.tokens[static_cast<size_t>(start)], 257);
    }
    // Only the first part of a packed sample may begin inside a document.
    Sample expected = before;
    if (before.tokens[0] != 257) {
      ++put_in;
      expected.tokens.insert(expected.tokens.begin(), 257);
      expected.targets.insert(expected.targets.begin(), -1);
      expected.tokens.pop_back();
      expected.targets.pop_back();
      for (int64_t& start : expected.doc_starts) start += start > 0 ? 1 : 0;
      std::erase(expected.doc_starts, 16);
    }
    EXPECT_EQ(sample.tokens, expected.tokens);
    EXPECT_EQ(sample.targets, expected.targets);
    EXPECT_EQ(sample.doc_starts, expected.doc_starts);
  }
  EXPECT_GT(put_in, 0);
  const MixtureSource b = source("b", 'b', 1);
  EXPECT_EQ(error_of([&] {
              Mixture({b}, kTrainSplit, {16, 4, true});
            }),
            "r.toml: line 3: data.sources[0].path: " + b.path.string() +
                ": was prepared without a begin token, which data.mask = \"anchor\" puts before "
                "every part of a document. Prepare it with --begin-token TOKEN.");
}

}  // namespace
}  // namespace longgen
