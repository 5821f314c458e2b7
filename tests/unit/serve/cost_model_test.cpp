#include "longgen/serve/schedule/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longgen/base/random.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

// About a 7B hybrid on one H200: 4 ms a step, 1 ms more with prefill, 22 us a token, and what
// 100 ms hold at 0 and 128K tokens is what was computed for it.
const CostModel::Terms kSevenB = {4e-3, 1e-3, 2.2e-5, 1.6e-10, 4e-8};

StepWork step(int64_t before, int64_t prefill, int64_t decoders, int64_t keys) {
  StepWork work;
  if (prefill > 0) work.add_prefill(before, prefill);
  for (int64_t i = 0; i < decoders; ++i) work.add_decoder(keys);
  return work;
}

TEST(CostModel, AddsUpWhatAStepDoes) {
  const CostModel cost({1, 10, 100, 1000, 10000});
  EXPECT_EQ(cost.seconds(step(0, 0, 2, 5)), 1 + 2 * 100 + 10 * 10000);
  EXPECT_EQ(cost.seconds(step(3, 4, 0, 0)), 1 + 10 + 4 * 100 + (2 * 3 * 4 + 16) * 1000);
  StepWork both = step(3, 4, 1, 5);
  both.add_prefill(0, 2);
  EXPECT_EQ(cost.seconds(both), 1 + 10 + 7 * 100 + (40 + 4) * 1000 + 5 * 10000);
}

TEST(CostModel, TokensFillTheBudgetAndNoMore) {
  RandomStream random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    CostModel::Terms terms = kSevenB;
    if (trial % 5 == 0) terms[3] = 0;  // no full layer
    const CostModel cost(terms);
    const StepWork work = step(0, 0, static_cast<int64_t>(random.below(64)), 5000);
    const auto before = static_cast<int64_t>(random.below(1 << 20));
    const double limit = 0.001 * static_cast<double>(random.below(400));
    const int64_t tokens = cost.prefill_tokens(work, before, limit);
    StepWork with = work, with_more = work;
    with.add_prefill(before, tokens);
    with_more.add_prefill(before, tokens + 1);
    if (tokens > 0) {
      EXPECT_LE(cost.seconds(with), limit * (1 + 1e-9));
    }
    EXPECT_GT(cost.seconds(with_more), limit * (1 - 1e-9));
  }
}

TEST(CostModel, FiguresOfASevenBillionHybrid) {
  const CostModel cost(kSevenB);
  EXPECT_NEAR(static_cast<double>(cost.prefill_tokens({}, 0, 0.1)), 4200, 150);
  EXPECT_NEAR(static_cast<double>(cost.prefill_tokens({}, 131'072, 0.1)), 1480, 100);
  // Steps of 100 ms, each with its 5 ms: the prompt's own time and 1/19 of it.
  const double seconds = cost.prefill_seconds(0, 131'072, 0.1);
  EXPECT_NEAR(seconds, 2.2e-5 * 131'072 + 1.6e-10 * 131'072.0 * 131'072.0 + 57 * 5e-3, 0.05);
  EXPECT_EQ(cost.prefill_seconds(0, 64, 0.1), cost.seconds(step(0, 64, 0, 0)));
}

TEST(CostModel, WithoutCostsEverythingFits) {
  const CostModel cost({1e-3, 0, 0, 0, 0});
  EXPECT_EQ(cost.prefill_tokens({}, 1000, 0.1), CostModel::kMostTokens);
  EXPECT_EQ(cost.prefill_tokens({}, 1000, 0.001), 0);
}

TEST(CostModel, RefusesWhatIsNoCost) {
  EXPECT_ERROR(CostModel({0, 0, -1, 0, 0}), "coefficients of at least 0, found -1");
  EXPECT_ERROR(CostModel({NAN, 0, 0, 0, 0}), "coefficients of at least 0, found nan");
}

/// Steps as a server's calibration makes them.
std::vector<StepWork> calibration_steps() {
  std::vector<StepWork> steps;
  for (const int64_t before : {0, 65'536}) {
    for (const int64_t prefill : {64, 256, 1024, 4096, 8192}) {
      steps.push_back(step(before, prefill, 0, 0));
      steps.push_back(step(before, prefill, 16, 4096));
    }
  }
  for (const int64_t decoders : {1, 8, 64}) {
    for (const int64_t keys : {64, 32'768}) steps.push_back(step(0, 0, decoders, keys));
  }
  return steps;
}

TEST(CostCalibration, FindsTheCoefficientsOfExactSteps) {
  CostCalibration calibration;
  const CostModel truth(kSevenB);
  for (const StepWork& work : calibration_steps()) calibration.add(work, truth.seconds(work));
  const std::optional<CostModel> found = calibration.fit();
  ASSERT_TRUE(found);
  for (size_t i = 0; i < CostModel::kNumTerms; ++i) {
    EXPECT_NEAR(found->coefficients()[i], kSevenB[i], 1e-6 * kSevenB[i]) << i;
  }
}

/// Shares of predictions over times at the 5th and the 95th of a hundred.
std::pair<double, double> spread(const CostModel& cost, const CostModel& truth, double noise,
                                 uint64_t key) {
  RandomStream random(key);
  std::vector<double> shares;
  for (int i = 0; i < 500; ++i) {
    const StepWork work = step(
        static_cast<int64_t>(random.below(131'072)), static_cast<int64_t>(random.below(4096)),
        static_cast<int64_t>(1 + random.below(64)), static_cast<int64_t>(random.below(32'768)));
    const double factor = 1 + noise * (2 * static_cast<double>(random.below(1000)) / 999 - 1);
    shares.push_back(cost.seconds(work) / (truth.seconds(work) * factor));
  }
  std::sort(shares.begin(), shares.end());
  return {shares[25], shares[475]};
}

TEST(CostCalibration, PredictsOtherStepsThroughNoise) {
  const CostModel truth(kSevenB);
  for (uint64_t key = 1; key <= 10; ++key) {
    CostCalibration calibration;
    RandomStream random(key);
    for (const StepWork& work : calibration_steps()) {
      const double noise = 1 + 0.1 * (2 * static_cast<double>(random.below(1000)) / 999 - 1);
      calibration.add(work, truth.seconds(work) * noise);
    }
    const auto [low, high] = spread(*calibration.fit(), truth, 0.1, key);
    EXPECT_GT(low, 0.8);
    EXPECT_LT(high, 1.25);
  }
}

TEST(CostCalibration, FollowsAMachineThatBecomesSlower) {
  CostModel::Terms slower = kSevenB;
  for (double& term : slower) term *= 2;
  CostCalibration calibration;
  const CostModel before(kSevenB), after(slower);
  const std::vector<StepWork> steps = calibration_steps();
  for (int i = 0; i < 1000; ++i)
    calibration.add(steps[i % steps.size()], before.seconds(steps[i % steps.size()]));
  for (int i = 0; i < 3000; ++i)
    calibration.add(steps[i % steps.size()], after.seconds(steps[i % steps.size()]));
  const auto [low, high] = spread(*calibration.fit(), after, 0, 1);
  EXPECT_GT(low, 0.9);
  EXPECT_LT(high, 1.1);
}

TEST(CostCalibration, NoCoefficientIsNegativeAndFewStepsGiveAModel) {
  CostCalibration calibration;
  EXPECT_FALSE(calibration.fit().has_value());
  calibration.add(step(0, 0, 0, 0), 1);   // no step
  calibration.add(step(0, 64, 0, 0), 0);  // no time
  EXPECT_FALSE(calibration.fit().has_value());
  calibration.add(step(0, 64, 0, 0), 0.5);
  EXPECT_NEAR(calibration.fit()->seconds(step(0, 64, 0, 0)), 0.5, 1e-9);
  // The more rows, the faster: no model of costs says so, and the best one is a constant.
  CostCalibration falling;
  for (const int64_t rows : {64, 128, 256}) {
    falling.add(step(0, rows, 0, 0), 1 - static_cast<double>(rows) / 1000);
  }
  const CostModel flat = *falling.fit();
  EXPECT_NEAR(flat.seconds(step(0, 64, 0, 0)), flat.seconds(step(0, 256, 0, 0)), 1e-9);
}

}  // namespace
}  // namespace longgen
