#include "longgen/data/packing.h"

#include <map>
#include <set>
#include <thread>

#include "longgen/base/random.h"
#include "test_support.h"

namespace longgen {
namespace {

/// A dataset whose tokens are all different (token = position), so that every token of a sample
/// tells where it comes from.
class PackingTest : public DataTest {
 protected:
  TokenDataset numbered(const std::vector<int64_t>& lengths) {
    std::string lines;
    int64_t position = 0;
    for (const int64_t length : lengths) {
      lines += "{\"text\": \"" + std::to_string(position) + " " + std::to_string(length) + "\"}\n";
      position += length;
    }
    TextEncoder encoder;
    encoder.vocab_size = position;
    encoder.encode = [](std::string_view text) {
      const std::string both(text);
      const int first = std::stoi(both), length = std::stoi(both.substr(both.find(' ')));
      std::vector<int32_t> ids;
      for (int i = 0; i < length; ++i) ids.push_back(first + i);
      return ids;
    };
    PrepareOptions o = options({put("a.jsonl", lines)});
    o.shard_tokens = 97;
    prepare_dataset(encoder, o);
    return TokenDataset::open(dir_ / "out", kTrainSplit);
  }

  TokenDataset mixed() {
    std::vector<int64_t> lengths;
    RandomStream random(5);
    for (int i = 0; i < 200; ++i) {
      lengths.push_back(1 + static_cast<int64_t>(random.below(i % 10 == 0 ? 300 : 20)));
    }
    return numbered(lengths);
  }
};

/// Sizes, targets and document starts of one sample, against the dataset.
void check_sample(const TokenDataset& dataset, const Sample& sample, size_t length) {
  ASSERT_EQ(sample.tokens.size(), length);
  ASSERT_EQ(sample.targets.size(), length);
  std::vector<int64_t> starts;
  for (size_t t = 0; t < length; ++t) {
    const int64_t position = sample.tokens[t];
    const int64_t end = dataset.document_end(dataset.document_at(position));
    EXPECT_EQ(sample.targets[t], position + 1 == end ? -1 : position + 1);
    const bool goes_on = t > 0 && sample.targets[t - 1] == sample.tokens[t];
    if (!goes_on) starts.push_back(static_cast<int64_t>(t));
  }
  EXPECT_EQ(sample.doc_starts, starts);
}

TEST_F(PackingTest, AnEpochHoldsEveryTokenOnce) {
  const TokenDataset dataset = mixed();
  for (const PackingMode mode : {PackingMode::packed, PackingMode::whole}) {
    for (const int64_t length : {int64_t{1}, int64_t{7}, int64_t{64}, dataset.num_tokens()}) {
      const Packing packing(dataset, {length, mode, 3});
      EXPECT_EQ(packing.samples_per_epoch(), dataset.num_tokens() / length);
      for (int64_t epoch = 0; epoch < 2; ++epoch) {
        std::set<int32_t> seen;
        for (int64_t i = 0; i < packing.samples_per_epoch(); ++i) {
          const Sample sample = packing.sample(epoch * packing.samples_per_epoch() + i);
          check_sample(dataset, sample, static_cast<size_t>(length));
          seen.insert(sample.tokens.begin(), sample.tokens.end());
        }
        EXPECT_EQ(static_cast<int64_t>(seen.size()), packing.samples_per_epoch() * length)
            << "length " << length << " epoch " << epoch;
      }
    }
  }
}

TEST_F(PackingTest, AnySampleCanBeMadeAlone) {
  const TokenDataset dataset = mixed();
  const PackingOptions options{32, PackingMode::packed, 11};
  const Packing sequential(dataset, options), random(dataset, options);
  const int64_t count = 3 * sequential.samples_per_epoch();
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) samples.push_back(sequential.sample(i));
  for (const int64_t i : shuffled(count, 1)) {
    const Sample sample = random.sample(i);
    EXPECT_EQ(sample.tokens, samples[static_cast<size_t>(i)].tokens) << i;
    EXPECT_EQ(sample.targets, samples[static_cast<size_t>(i)].targets) << i;
    EXPECT_EQ(sample.doc_starts, samples[static_cast<size_t>(i)].doc_starts) << i;
  }
}

TEST_F(PackingTest, SeedsAndEpochsGiveOtherOrders) {
  const TokenDataset dataset = mixed();
  const Packing one(dataset, {32, PackingMode::packed, 1}),
      two(dataset, {32, PackingMode::packed, 2});
  int same_seed = 0, same_epoch = 0;
  const int64_t count = one.samples_per_epoch();
  for (int64_t i = 0; i < count; ++i) {
    same_seed += one.sample(i).tokens == two.sample(i).tokens;
    same_epoch += one.sample(i).tokens == one.sample(count + i).tokens;
  }
  EXPECT_LE(same_seed, 3);
  EXPECT_LE(same_epoch, 3);
}

TEST_F(PackingTest, WholeSamplesAreSlicesOfOneDocument) {
  const TokenDataset dataset = numbered({100, 5, 64, 33, 31, 3, 20});
  const Packing packing(dataset, {32, PackingMode::whole, 9});
  // 100: three slices and 4 left; 64: two; 33: one and 1 left; then 5 + 4 + 1 + 31 + 3 + 20 = 64.
  EXPECT_EQ(packing.samples_per_epoch(), 8);
  int slices = 0;
  for (int64_t i = 0; i < 8; ++i) {
    const Sample sample = packing.sample(i);
    check_sample(dataset, sample, 32);
    if (sample.doc_starts.size() > 1) continue;
    const int64_t begin = dataset.document_begin(dataset.document_at(sample.tokens[0]));
    slices += (sample.tokens[0] - begin) % 32 == 0;
  }
  EXPECT_EQ(slices, 6);
}

TEST_F(PackingTest, TheTokenBeyondTheSampleIsATarget) {
  const TokenDataset dataset = numbered({10});
  const Packing packing(dataset, {5, PackingMode::packed, 0});
  std::map<int32_t, std::vector<int32_t>> targets;
  for (int64_t i = 0; i < 2; ++i) {
    targets[packing.sample(i).tokens[0]] = packing.sample(i).targets;
  }
  EXPECT_EQ(targets[0], (std::vector<int32_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(targets[5], (std::vector<int32_t>{6, 7, 8, 9, -1}));
}

TEST_F(PackingTest, SeveralThreadsMayAsk) {
  const TokenDataset dataset = mixed();
  const PackingOptions options{16, PackingMode::packed, 4};
  const Packing alone(dataset, options), shared(dataset, options);
  const int64_t count = 6 * alone.samples_per_epoch();
  std::vector<std::vector<int32_t>> tokens(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int64_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (int64_t i = first; i < count; i += 4) {
        tokens[static_cast<size_t>(i)] = shared.sample(i).tokens;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int64_t i = 0; i < count; ++i) {
    ASSERT_EQ(tokens[static_cast<size_t>(i)], alone.sample(i).tokens) << i;
  }
}

TEST_F(PackingTest, TooFewTokensAndBadLengthsAreErrors) {
  const TokenDataset dataset = numbered({10, 5});
  EXPECT_TRUE(contains(error_of([&] {
                         Packing(dataset, {16, PackingMode::packed, 0});
                       }),
                       "split train has 15 tokens, fewer than one sample of 16"));
  EXPECT_TRUE(contains(error_of([&] { Packing(dataset, {0, PackingMode::packed, 0}); }), "length"));
  const TokenDataset none = TokenDataset::open(dir_ / "out", kHeldOutSplit);
  EXPECT_EQ(none.num_documents(), 0);
  EXPECT_TRUE(contains(error_of([&] { Packing(none, {1, PackingMode::packed, 0}); }), "0 tokens"));
  const Packing packing(dataset, {5, PackingMode::packed, 0});
  EXPECT_TRUE(contains(error_of([&] { packing.sample(-1); }), "sample index"));
}

// The order is part of the contract: a run that was started with another build must go on with it.
TEST(RandomTest, NumbersNeverChange) {
  RandomStream random(0);
  // First outputs of SplitMix64 with seed 0, as published with the generator.
  EXPECT_EQ(random.next(), 0xE220A8397B1DCDAFu);
  EXPECT_EQ(random.next(), 0x6E789E6AA1B965F4u);
  // These two are from a second implementation, with Python's unbounded integers.
  EXPECT_EQ(shuffled(8, 42), (std::vector<int64_t>{4, 3, 2, 0, 7, 6, 1, 5}));
  EXPECT_EQ(mix_pair(1, 2), 0xB95F66D327E8D78u);
}

TEST(RandomTest, BelowIsUniform) {
  RandomStream random(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60000; ++i) ++counts[random.below(6)];
  // Standard deviation sqrt(60000 * 1/6 * 5/6) = 91; five of them.
  for (const int count : counts) EXPECT_NEAR(count, 10000, 456);
  EXPECT_EQ(random.below(1), 0u);
}

}  // namespace
}  // namespace longgen
