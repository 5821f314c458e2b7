#include "longgen/engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The definitions of sampler.h, one after the other over a full sort, in double.
std::map<int32_t, double> by_definition(const SamplingOptions& options, std::vector<float> logits,
                                        const std::vector<int32_t>& prompt,
                                        const std::vector<int32_t>& generated = {},
                                        const std::vector<int32_t>& barred = {}) {
  const auto change = [&](int32_t id, auto to) {
    float& logit = logits[static_cast<size_t>(id)];
    logit = static_cast<float>(to(logit));
  };
  for (const auto& [id, bias] : options.logit_bias) {
    change(id, [bias = bias](double logit) { return logit + bias; });
  }
  std::set<int32_t> seen(prompt.begin(), prompt.end());
  seen.insert(generated.begin(), generated.end());
  for (const int32_t id : seen) {
    change(id, [&](double logit) {
      return logit > 0 ? logit / options.repetition_penalty : logit * options.repetition_penalty;
    });
  }
  for (const int32_t id : std::set<int32_t>(generated.begin(), generated.end())) {
    const auto times = static_cast<double>(std::count(generated.begin(), generated.end(), id));
    change(id, [&](double logit) {
      return logit - times * options.frequency_penalty - options.presence_penalty;
    });
  }
  for (const int32_t id : barred) logits[static_cast<size_t>(id)] = -kInfinity;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit_of = [&](int32_t id) -> double { return logits[static_cast<size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logit_of(a) > logit_of(b); });
  if (options.temperature == 0) return {{order[0], 1.0}};
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < order.size()) {
    order.resize(static_cast<size_t>(options.top_k));
  }
  std::vector<double> p;
  for (const int32_t id : order) {
    p.push_back(std::exp((logit_of(id) - logit_of(order[0])) / options.temperature));
  }
  const double all = std::accumulate(p.begin(), p.end(), 0.0);
  double sum = 0;
  size_t kept = 0;
  while (kept < p.size() && (kept == 0 || sum < options.top_p * all)) sum += p[kept++];
  while (kept > 1 && p[kept - 1] < options.min_p * p[0]) --kept;
  sum = std::accumulate(p.begin(), p.begin() + static_cast<ptrdiff_t>(kept), 0.0);
  std::map<int32_t, double> result;
  for (size_t i = 0; i < kept; ++i) result[order[i]] = p[i] / sum;
  return result;
}

std::vector<float> random_logits(std::mt19937_64& random, size_t count, double spread) {
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = static_cast<float>(normal(random));
  return logits;
}

/// Equal probabilities, but for the resolution of 2^-44 per token.
void expect_equal(const std::vector<TokenProbability>& found,
                  const std::map<int32_t, double>& expected, const std::string& what) {
  constexpr double kResolution = 0x1p-44;
  size_t num_expected = 0;
  for (const auto& [id, probability] : expected) num_expected += probability > kResolution;
  ASSERT_GE(found.size(), num_expected) << what;
  ASSERT_LE(found.size(), expected.size()) << what;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(i == 0 || found[i - 1].id < found[i].id) << what;
    ASSERT_TRUE(expected.contains(found[i].id)) << what << ", token " << found[i].id;
    ASSERT_NEAR(found[i].probability, expected.at(found[i].id),
                kResolution * static_cast<double>(expected.size() + 1))
        << what;
  }
}

TEST(SamplerTest, FiltersMatchTheirDefinitions) {
  std::mt19937_64 random(7);
  const auto pick = [&random](const auto& values) { return values[random() % values.size()]; };
  int num_filtered = 0;
  for (int round = 0; round < 4000; ++round) {
    SamplingOptions options;
    options.temperature = pick(std::vector<double>{0, 0.1, 0.7, 1, 1.5, 100});
    options.top_k = pick(std::vector<int64_t>{0, 0, 1, 2, 5, 40, 1000000});
    options.top_p = pick(std::vector<double>{1, 1, 1e-9, 0.1, 0.5, 0.9, 0.999});
    options.min_p = pick(std::vector<double>{0, 0, 0.01, 0.2, 1});
    options.repetition_penalty = pick(std::vector<double>{1, 1.1, 1.7, 0.6});
    options.frequency_penalty = pick(std::vector<double>{0, 0, 0.3, -1.5});
    options.presence_penalty = pick(std::vector<double>{0, 0, 1.2, -0.5});
    auto logits = random_logits(random, pick(std::vector<size_t>{1, 2, 3, 17, 300, 2000}),
                                pick(std::vector<double>{0.01, 1, 4, 12}));
    if (round % 4 == 1) std::sort(logits.begin(), logits.end());
    if (round % 4 == 2) std::sort(logits.rbegin(), logits.rend());
    if (round % 3 == 0) {  // many equal ones
      for (float& logit : logits) logit = std::round(logit * 2) / 2;
    }
    const auto some_tokens = [&](size_t most) {
      std::vector<int32_t> tokens;
      for (size_t i = random() % most; i > 0; --i) {
        tokens.push_back(static_cast<int32_t>(random() % logits.size()));
      }
      return tokens;
    };
    const auto prompt = some_tokens(40), generated = some_tokens(40);
    for (const int32_t id : some_tokens(3)) options.logit_bias.push_back({id, 2.5});
    const auto barred = some_tokens(std::min<size_t>(5, logits.size()));
    const std::string what = detail::concat(
        "round ", round, ", V ", logits.size(), ", temperature ", options.temperature, ", top_k ",
        options.top_k, ", top_p ", options.top_p, ", min_p ", options.min_p);
    const auto expected = by_definition(options, logits, prompt, generated, barred);
    expect_equal(Sampler(options).distribution(logits, {prompt, generated}, barred), expected,
                 what);
    if (HasFatalFailure()) return;
    num_filtered += expected.size() > 1 && expected.size() < logits.size();
  }
  EXPECT_GT(num_filtered, 500) << "too few cases where a filter had something to decide";
}

TEST(SamplerTest, EqualLogitsAreKeptInOrderOfId) {
  // Every filter cuts within the tokens of equal logit.
  std::vector<float> logits(3000, 1.0f);
  logits[2999] = 2.0f;
  const auto ids = [&](SamplingOptions options) {
    std::vector<int32_t> result;
    for (const auto& [id, p] : Sampler(options).distribution(logits, {})) result.push_back(id);
    return result;
  };
  EXPECT_EQ(ids({.temperature = 0}), (std::vector<int32_t>{2999}));
  EXPECT_EQ(ids({.top_k = 1}), (std::vector<int32_t>{2999}));
  EXPECT_EQ(ids({.top_k = 4}), (std::vector<int32_t>{0, 1, 2, 2999}));
  // Weights e and 2999 times 1: the share of e + 2 (1.9999 is short of 2).
  const double all = std::exp(1.0) + 2999;
  EXPECT_EQ(ids({.top_p = (std::exp(1.0) + 1.9999) / all}), (std::vector<int32_t>{0, 1, 2999}));
  EXPECT_EQ(ids({.min_p = 0.5}), (std::vector<int32_t>{2999}));
  EXPECT_EQ(ids({.min_p = 0.3}).size(), 3000u);
  logits[2999] = 1.0f;
  EXPECT_EQ(ids({.temperature = 0}), (std::vector<int32_t>{0}));
  EXPECT_EQ(ids({.top_k = 3}), (std::vector<int32_t>{0, 1, 2}));
}

/// Pearson's statistic of draws against probabilities; cells of under 5 expected draws are pooled.
double chi_square(const std::map<int32_t, int64_t>& counts, int64_t num_draws,
                  const std::map<int32_t, double>& expected, int& cells) {
  double statistic = 0, pooled_expected = 0, pooled_count = 0;
  cells = 0;
  const auto add = [&](double count, double mean) {
    statistic += (count - mean) * (count - mean) / mean;
    ++cells;
  };
  for (const auto& [id, probability] : expected) {
    const double mean = probability * static_cast<double>(num_draws);
    const auto it = counts.find(id);
    const double count = it == counts.end() ? 0 : static_cast<double>(it->second);
    if (mean >= 5) {
      add(count, mean);
    } else {
      pooled_expected += mean;
      pooled_count += count;
    }
  }
  if (pooled_expected > 0) add(pooled_count, pooled_expected);
  return statistic;
}

TEST(SamplerTest, DrawsFollowTheProbabilities) {
  constexpr int64_t kDraws = 200000;
  std::mt19937_64 random(11);
  const auto logits = random_logits(random, 60, 2);
  const std::vector<int32_t> tokens = {3, 3, 17, 59};
  const SamplingOptions cases[] = {
      {},
      {.temperature = 0.6},
      {.temperature = 3},
      {.top_k = 7},
      {.top_p = 0.8},
      {.min_p = 0.05},
      {.repetition_penalty = 1.5},
      {.repetition_penalty = 1.3, .temperature = 0.8, .top_k = 20, .top_p = 0.9, .min_p = 0.02}};
  for (SamplingOptions options : cases) {
    options.seed = 12345;
    Sampler sampler(options);
    std::map<int32_t, int64_t> counts;
    for (int64_t i = 0; i < kDraws; ++i) ++counts[sampler.next(logits, {tokens})];
    const auto expected = by_definition(options, logits, tokens);
    for (const auto& [id, count] : counts) ASSERT_TRUE(expected.contains(id)) << id;
    int cells = 0;
    const double statistic = chi_square(counts, kDraws, expected, cells);
    // Mean n, variance 2n for n degrees of freedom: four deviations above.
    const double n = cells - 1;
    EXPECT_LT(statistic, n + 4 * std::sqrt(2 * n)) << "top_k " << options.top_k;
    EXPECT_GT(statistic, n / 10) << "too regular to be random";
  }
}

TEST(SamplerTest, LargeVocabulariesKeepTheirProbabilities) {
  // 300,000 tokens leave 43 bits to the most probable one; all are equal, so all bits are needed.
  constexpr size_t kVocab = 300000;
  const std::vector<float> logits(kVocab, -3.0f);
  Sampler sampler({.seed = 1});
  const auto distribution = sampler.distribution(logits, {});
  ASSERT_EQ(distribution.size(), kVocab);
  EXPECT_DOUBLE_EQ(distribution[77].probability, 1.0 / kVocab);
  double sum = 0;
  for (int i = 0; i < 300; ++i) sum += sampler.next(logits, {});
  // Uniform on [0, V): deviation of the mean V / sqrt(12 * 300); four of them.
  EXPECT_NEAR(sum / 300, kVocab / 2.0, 4 * kVocab / std::sqrt(12.0 * 300));
}

TEST(SamplerTest, TheSeedDecides) {
  std::mt19937_64 random(3);
  const auto logits = random_logits(random, 1000, 1);
  const auto draws = [&](uint64_t seed) {
    Sampler sampler({.top_p = 0.95, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.next(logits, {}));
    return ids;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

TEST(SamplerTest, DrawsAreTheSameOnEveryPlatform) {
  // Computed by a Python program of its own (random numbers included). A change here changes what
  // every user's seed gives.
  std::vector<float> logits;
  for (int i = 0; i < 32; ++i) logits.push_back(static_cast<float>(i % 7) * 0.5f);
  Sampler sampler({.temperature = 0.9, .top_k = 20, .top_p = 0.9, .seed = 42});
  std::vector<int32_t> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(sampler.next(logits, {}));
  EXPECT_EQ(ids, (std::vector<int32_t>{12, 4, 11, 6, 20, 12, 13, 3, 27, 27, 25, 17}));
}

TEST(SamplerTest, ADrawDoesNotDependOnThoseBefore) {
  std::mt19937_64 random(5);
  const std::vector<float> flat(200, 0.0f), certain = {0, 50};
  Sampler one({.seed = 9}), other({.seed = 9});
  for (int i = 0; i < 20; ++i) {
    one.next(flat, {});
    other.next(i % 2 == 0 ? certain : random_logits(random, 77, 3), {});
  }
  EXPECT_EQ(one.next(flat, {}), other.next(flat, {}));
}

TEST(SamplerTest, PenaltiesOfGeneratedTokensLeaveThePromptAlone) {
  const std::vector<float> logits = {1, 1, 1, 1};
  const std::vector<int32_t> prompt = {0, 0, 1}, generated = {1, 2, 2};
  const auto distribution = [&](const SamplingOptions& options) {
    std::vector<double> p;
    for (const auto& [id, probability] :
         Sampler(options).distribution(logits, {prompt, generated})) {
      p.push_back(std::log(probability));
    }
    return p;
  };
  const auto frequency = distribution({.frequency_penalty = 0.5});
  EXPECT_NEAR(frequency[0] - frequency[1], 0.5, 1e-9);
  EXPECT_NEAR(frequency[0] - frequency[2], 1.0, 1e-9);
  EXPECT_NEAR(frequency[0] - frequency[3], 0, 1e-9);
  const auto presence = distribution({.presence_penalty = -0.5});
  EXPECT_NEAR(presence[1] - presence[0], 0.5, 1e-9);
  EXPECT_NEAR(presence[2] - presence[0], 0.5, 1e-9);
}

TEST(SamplerTest, BiasAndBarredTokens) {
  const std::vector<float> logits = {3, 2, -kInfinity, 1};
  Sampler greedy({.logit_bias = {{1, 1.5}, {2, 100}}, .temperature = 0});
  EXPECT_EQ(greedy.next(logits, {}), 1) << "what cannot be drawn stays so";
  EXPECT_EQ(greedy.next(logits, {}, std::vector<int32_t>{1, -5, 99}), 0);
  EXPECT_EQ(error_of([&] {
              greedy.next(logits, {}, std::vector<int32_t>{0, 1, 3});
            }),
            "[sample] step 3: every token that could follow is barred.");
  EXPECT_EQ(greedy.next(logits, {}), 1);
  Sampler outside({.logit_bias = {{4, 1}}});
  EXPECT_EQ(error_of([&] { outside.next(logits, {}); }),
            "[sample] step 1: expected tokens from 0 to 3, found 4.");
}

TEST(SamplerTest, RepetitionPenaltyCountsATokenOnce) {
  const std::vector<float> logits = {2.0f, -2.0f, 0.0f, 1.0f};
  const std::vector<int32_t> tokens = {0, 0, 0, 1, 1, 2};
  const auto distribution = Sampler({.repetition_penalty = 2}).distribution(logits, {tokens});
  ASSERT_EQ(distribution.size(), 4u);
  const double all = std::exp(1.0) + std::exp(-4.0) + 1 + std::exp(1.0);
  EXPECT_NEAR(distribution[0].probability, std::exp(1.0) / all, 1e-12);
  EXPECT_NEAR(distribution[1].probability, std::exp(-4.0) / all, 1e-12);
  EXPECT_NEAR(distribution[2].probability, 1 / all, 1e-12);
  Sampler greedy({.repetition_penalty = 3, .temperature = 0});
  EXPECT_EQ(greedy.next(logits, {tokens}), 3) << "the penalty acts on the most probable token too";
  EXPECT_EQ(greedy.next(logits, {}), 0);
}

TEST(SamplerTest, ExtremeLogits) {
  const std::vector<float> huge = {3e38f, -3e38f, 2.9e38f, -kInfinity};
  const std::vector<int32_t> all = {0, 1, 2, 3};
  for (const double temperature : {0.0, 1e-300, 1.0, 1e300}) {
    for (const double penalty : {1.0, 1e-300, 1000.0}) {
      Sampler sampler({.repetition_penalty = penalty, .temperature = temperature, .min_p = 1e-300});
      for (int i = 0; i < 20; ++i) EXPECT_NE(sampler.next(huge, {all}), 3) << "-inf is never drawn";
    }
  }
  EXPECT_EQ(Sampler({.temperature = 1e-300}).next(huge, {}), 0);
  EXPECT_EQ(Sampler({.temperature = 1e300}).distribution(huge, {}).size(), 3u);
  EXPECT_EQ(
      Sampler({.top_k = 3}).next(std::vector<float>{-kInfinity, 5, -kInfinity, -kInfinity}, {}), 1);
  EXPECT_EQ(Sampler(SamplingOptions{}).next(std::vector<float>{0}, {}), 0);
}

TEST(SamplerTest, BadLogitsNameStepAndToken) {
  Sampler sampler(SamplingOptions{});
  const auto next = [&](std::vector<float> logits, std::vector<int32_t> tokens = {}) {
    return error_of([&] { sampler.next(logits, {tokens}); });
  };
  EXPECT_EQ(next({0, 1}), "");
  EXPECT_EQ(next({0, NAN, NAN}),
            "[sample] step 2: the logit of token 1 is NaN, expected a number. The model's weights "
            "are damaged or the computation overflowed.");
  EXPECT_NE(next({0, 1, kInfinity}).find("step 3: the logit of token 2 is infinite"),
            std::string::npos);
  EXPECT_EQ(next({-kInfinity, -kInfinity}),
            "[sample] step 4: all 2 logits are -inf, so no token can follow.");
  EXPECT_EQ(next({}), "[sample] step 5: expected 1 to 2147483647 logits, found 0.");
  EXPECT_NE(next(std::vector<float>(1000, NAN)).find("step 6: the logit of token 0 is NaN"),
            std::string::npos);
  EXPECT_EQ(next({0, 1}, {7}), "") << "tokens do not matter while the penalty is off";
  Sampler penalizing({.repetition_penalty = 1.1});
  for (const int32_t id : {-1, 2}) {
    const std::vector<int32_t> tokens = {id};
    EXPECT_NE(error_of([&] {
                penalizing.next(std::vector<float>{0, 1}, {tokens});
              }).find("expected tokens from 0 to 1, found " + std::to_string(id)),
              std::string::npos);
  }
  Sampler greedy({.temperature = 0});
  EXPECT_NE(error_of([&] {
              greedy.next(std::vector<float>{NAN, 1}, {});
            }).find("step 1"),
            std::string::npos);
}

TEST(SamplerTest, BadOptionsAreNamed) {
  const auto error = [](SamplingOptions options) {
    return error_of([&] { Sampler sampler(options); });
  };
  EXPECT_EQ(error({.temperature = -0.1}),
            "[sample] temperature: expected a number of at least 0, found -0.1.");
  EXPECT_NE(error({.temperature = NAN}).find("temperature"), std::string::npos);
  EXPECT_NE(error({.temperature = HUGE_VAL}).find("temperature"), std::string::npos);
  EXPECT_EQ(error({.top_k = -1}),
            "[sample] top_k: expected a count, or 0 for all tokens, found -1.");
  EXPECT_EQ(error({.top_p = 0}),
            "[sample] top_p: expected a number above 0 and at most 1, found 0.");
  EXPECT_NE(error({.top_p = 1.01}).find("top_p"), std::string::npos);
  EXPECT_NE(error({.top_p = NAN}).find("top_p"), std::string::npos);
  EXPECT_EQ(error({.min_p = 1.5}), "[sample] min_p: expected a number from 0 to 1, found 1.5.");
  EXPECT_NE(error({.min_p = NAN}).find("min_p"), std::string::npos);
  EXPECT_EQ(error({.repetition_penalty = 0}),
            "[sample] repetition_penalty: expected a number above 0 and at most 1000, found 0.");
  EXPECT_NE(error({.repetition_penalty = HUGE_VAL}).find("repetition_penalty"), std::string::npos);
  EXPECT_EQ(error({.frequency_penalty = 2.5}),
            "[sample] frequency_penalty: expected a number from -2 to 2, found 2.5.");
  EXPECT_NE(error({.presence_penalty = NAN}).find("presence_penalty"), std::string::npos);
  EXPECT_EQ(error({.logit_bias = {{0, HUGE_VAL}}}),
            "[sample] logit_bias: expected numbers, found inf.");
}

}  // namespace
}  // namespace longgen
