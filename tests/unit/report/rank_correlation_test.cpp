#include "longgen/report/rank_correlation.h"

#include <cmath>
#include <vector>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

using Figures = std::vector<double>;

TEST(RankCorrelation, IsOfTheOrderAlone) {
  const Figures first = {3, 1, 4, 1.5, 9};
  EXPECT_DOUBLE_EQ(rank_correlation(first, Figures{30, 10, 40, 15, 1e6}), 1);
  EXPECT_DOUBLE_EQ(rank_correlation(first, Figures{-3, -1, -4, -1.5, -9}), -1);
  // Ranks 0 to 4 against 1, 0, 3, 2, 4: 1 - 6 (1 + 1 + 1 + 1) / (5 (25 - 1)).
  EXPECT_DOUBLE_EQ(rank_correlation(Figures{0, 1, 2, 3, 4}, Figures{1, 0, 3, 2, 4}), 0.8);
}

TEST(RankCorrelation, EqualFiguresShareTheirRank) {
  // Ranks less their means: -1.5, -0.5, 0.5, 1.5 and -1, -1, 0.5, 1.5.
  EXPECT_DOUBLE_EQ(rank_correlation(Figures{1, 2, 3, 4}, Figures{5, 5, 6, 7}),
                   4.5 / std::sqrt(5 * 4.5));
  EXPECT_TRUE(std::isnan(rank_correlation(Figures{1, 2}, Figures{3, 3})));
  EXPECT_TRUE(std::isnan(rank_correlation(Figures{1}, Figures{3})));
}

TEST(RankCorrelation, RefusesFiguresOfOtherItems) {
  EXPECT_ERROR(rank_correlation(Figures{1, 2}, Figures{3}),
               "[rank_correlation] expected as many figures as 2, found 1.");
}

}  // namespace
}  // namespace longgen
