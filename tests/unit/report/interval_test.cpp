#include "longgen/report/interval.h"

#include <cmath>

#include "test_support.h"

namespace longgen {
namespace {

TEST(WilsonInterval, MatchesValuesSolvedByHand) {
  // The ends p solve |share - p| = z sqrt(p (1 - p) / n).
  constexpr double z = 1.959963984540054;
  for (const auto& [successes, n] : {std::pair{1, 10}, {5, 10}, {9, 10}, {33, 70}, {1, 1000}}) {
    const Interval interval = wilson_interval(successes, n);
    const double share = static_cast<double>(successes) / n;
    for (const double p : {interval.low, interval.high}) {
      EXPECT_NEAR(std::abs(share - p), z * std::sqrt(p * (1 - p) / n), 1e-12) << successes << n;
    }
    EXPECT_LT(interval.low, share);
    EXPECT_GT(interval.high, share);
  }
}

TEST(WilsonInterval, EndsAreExactForNoneAndAll) {
  EXPECT_EQ(wilson_interval(0, 20).low, 0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 1e-4);  // z^2 / (n + z^2)
  EXPECT_EQ(wilson_interval(20, 20).high, 1);
  EXPECT_NEAR(wilson_interval(20, 20).low, 1 - 0.1611, 1e-4);
  EXPECT_EQ(wilson_interval(0, 0).low, 0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1);
}

TEST(WilsonInterval, RefusesImpossibleCounts) {
  EXPECT_TRUE(fails_with([] { wilson_interval(3, 2); }, "expected 0 to 2 successes, found 3"));
  EXPECT_TRUE(fails_with([] { wilson_interval(-1, 2); }, "found -1"));
  EXPECT_TRUE(fails_with([] { wilson_interval(0, -1); }, "expected 0 to -1"));
}

TEST(Student, HasTheQuantilesOfItsTable) {
  for (const auto& [degrees, quantile] : {std::pair{1, 12.70620473617},
                                          {2, 4.30265272975},
                                          {3, 3.18244630528},
                                          {4, 2.77644510520},
                                          {10, 2.22813885199},
                                          {29, 2.04522964213},
                                          {100, 1.98397151852},
                                          {499, 1.96472939099},
                                          {500, 1.96471983747},
                                          {100000, 1.95998770754}}) {
    EXPECT_NEAR(student95(degrees), quantile, 1e-9) << degrees;
  }
  EXPECT_TRUE(fails_with([] { student95(0); }, "at least 1 degree of freedom"));
}

}  // namespace
}  // namespace longgen
