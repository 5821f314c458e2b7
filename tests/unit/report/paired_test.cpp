#include "longgen/report/paired.h"

#include <cmath>
#include <limits>
#include <vector>

#include "test_support.h"

namespace longgen {
namespace {

using Scores = std::vector<double>;

/// Scores of pairs: `both` that both models got right, and so on.
struct Pairs {
  Scores first, second;
  Pairs(int both, int gained, int lost, int neither) {
    add(both, 1, 1);
    add(gained, 0, 1);
    add(lost, 1, 0);
    add(neither, 0, 0);
  }
  void add(int count, double a, double b) {
    first.insert(first.end(), static_cast<size_t>(count), a);
    second.insert(second.end(), static_cast<size_t>(count), b);
  }
};

TEST(PairedDifference, OfScoresIsStudents) {
  // "Student", The Probable Error of a Mean, Biometrika 6 (1908): hours of sleep gained with two
  // drugs. R's t.test(first, second, paired = TRUE) gives 0.7001142 to 2.4598858.
  const Scores first = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
  const Scores second = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
  const PairedDifference difference = paired_difference(first, second);
  EXPECT_EQ(difference.num_items, 10);
  EXPECT_NEAR(difference.mean, 1.58, 1e-12);
  EXPECT_NEAR(difference.interval->low, 0.7001142, 1e-7);
  EXPECT_NEAR(difference.interval->high, 2.4598858, 1e-7);
}

TEST(PairedDifference, OfBinaryScoresIsBonettAndPrices) {
  // 21 children, airways tested before and after a transplant (M. W. Fagerland, S. Lydersen and P.
  // Laake, Stat. Med. 33 (2014), 2850-2875): one pair changed one way, seven the other. By hand:
  // (1 + 1) / 23 - (7 + 1) / 23 +- 1.959964 sqrt((10 / 23 - (6 / 23)^2) / 23).
  const Pairs pairs(1, 1, 7, 12);
  const PairedDifference difference = paired_difference(pairs.first, pairs.second);
  EXPECT_NEAR(difference.mean, -6.0 / 21, 1e-12);
  EXPECT_NEAR(difference.interval->low, -0.5084, 1e-4);
  EXPECT_NEAR(difference.interval->high, -0.0134, 1e-4);
}

TEST(PairedDifference, OfModelsThatAgreeHasAWidth) {
  const Pairs all(20, 0, 0, 0);
  const PairedDifference difference = paired_difference(all.first, all.second);
  EXPECT_EQ(difference.mean, 0);
  EXPECT_NEAR(difference.interval->high, 1.959963984540054 * std::sqrt(2.0 / 22 / 22), 1e-12);
  EXPECT_NEAR(difference.interval->low, -difference.interval->high, 1e-12);
  const Pairs two(0, 2, 0, 0);
  EXPECT_EQ(paired_difference(two.first, two.second).interval->high, 1);  // clipped
}

TEST(PairedDifference, OfFewerThanTwoItemsHasNoInterval) {
  EXPECT_EQ(paired_difference(Scores{}, Scores{}).num_items, 0);
  for (const double score : {1.0, 0.5}) {
    const PairedDifference one = paired_difference(Scores{0}, Scores{score});
    EXPECT_EQ(one.num_items, 1);
    EXPECT_EQ(one.mean, score);
    EXPECT_FALSE(one.interval);
  }
}

TEST(PairedDifference, ThatNeverVariesHasNoInterval) {
  EXPECT_FALSE(paired_difference(Scores{0.1, 0.2, 0.3}, Scores{0.2, 0.3, 0.4}).interval);
  EXPECT_FALSE(paired_difference(Scores{0.5, 0.25}, Scores{0.5, 0.25}).interval);
}

TEST(PairedDifference, RefusesWhatCannotBeCompared) {
  EXPECT_TRUE(fails_with([] { paired_difference(Scores{1, 2}, Scores{1}); }, "found 2 and 1"));
  const double nan = std::nan("");
  EXPECT_TRUE(fails_with([&] { paired_difference(Scores{nan}, Scores{1}); }, "finite scores"));
  EXPECT_TRUE(fails_with(
      [] {
        paired_difference(std::vector<DocumentPair>{{1, 2, 0}});
      },
      "at least one token, found one of 0"));
}

TEST(PairedDocuments, OfOneLengthAreStudentsOfTheirMeans) {
  const std::vector<DocumentPair> documents = {{200, 206, 100}, {310, 311, 100}, {150, 159, 100}};
  const PairedDifference sums = paired_difference(documents);
  const PairedDifference means = paired_difference(Scores{2, 3.1, 1.5}, Scores{2.06, 3.11, 1.59});
  EXPECT_EQ(sums.num_items, 3);
  EXPECT_NEAR(sums.mean, means.mean, 1e-12);
  EXPECT_NEAR(sums.interval->low, means.interval->low, 1e-12);
  EXPECT_NEAR(sums.interval->high, means.interval->high, 1e-12);
}

TEST(PairedDocuments, CountByTheirTokens) {
  // 10 of 400 tokens differ by hand: residuals 4 - 0.025 * 100 = 1.5 and 6 - 0.025 * 300 = -1.5;
  // 12.7062047 sqrt(2 (1.5^2 + 1.5^2)) / 400.
  const PairedDifference difference =
      paired_difference(std::vector<DocumentPair>{{200, 204, 100}, {700, 706, 300}});
  EXPECT_NEAR(difference.mean, 0.025, 1e-12);
  EXPECT_NEAR(difference.interval->high - 0.025, 12.706204736174 * 3 / 400, 1e-9);
}

TEST(PerplexityPercent, IsOnTheLogarithmicScale) {
  const PairedDifference percent =
      perplexity_percent({.num_items = 4, .mean = std::log(1.02), .interval = Interval{-0.1, 0.2}});
  EXPECT_NEAR(percent.mean, 2, 1e-12);
  EXPECT_NEAR(percent.interval->low, 100 * (std::exp(-0.1) - 1), 1e-12);
  EXPECT_NEAR(percent.interval->high, 100 * (std::exp(0.2) - 1), 1e-12);
}

TEST(AverageDifference, AddsVariancesOfTasks) {
  const std::vector<PairedDifference> tasks = {{10, 0.1, Interval{0.07, 0.13}},
                                               {30, 0.3, Interval{0.26, 0.34}}};
  const PairedDifference average = average_difference(tasks);
  EXPECT_EQ(average.num_items, 40);
  EXPECT_NEAR(average.mean, 0.2, 1e-12);
  EXPECT_NEAR(average.interval->high, 0.225, 1e-12);  // sqrt(0.03^2 + 0.04^2) / 2
  const std::vector<PairedDifference> unsure = {tasks[0], {1, 0.5, std::nullopt}};
  EXPECT_FALSE(average_difference(unsure).interval);
  EXPECT_TRUE(fails_with([] { average_difference({}); }, "at least one task"));
}

TEST(DifferenceText, HasSignsAndItsInterval) {
  EXPECT_EQ(difference_text({4, 1.424, Interval{-0.9, 1.936}}, 2, "%"), "+1.42% (-0.90 to +1.94)");
  EXPECT_EQ(difference_text({60, -0.15, Interval{-0.241, -0.0001}}, 1, "", 100),
            "-15.0 (-24.1 to 0.0)");
  EXPECT_EQ(difference_text({1, 0, std::nullopt}, 2, "%"), "0.00%");
  EXPECT_EQ(difference_text({}, 2, "%"), "-");
  EXPECT_EQ(difference_text({2, std::numeric_limits<double>::infinity(), std::nullopt}, 2), "-");
}

}  // namespace
}  // namespace longgen
