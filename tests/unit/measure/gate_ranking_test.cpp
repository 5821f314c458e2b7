#include "longgen/measure/gate_ranking.h"

#include <cmath>

#include "tests/unit/error_text.h"
#include "tests/unit/measure/test_support.h"

namespace longgen {
namespace {

/// Three layers: with all of them sparse, the sums of far text and answers lose 20 and 20 nats.
/// Layer 4 loses most alone, then 1, then 2.
LayerChoice made_up_choice(double sparse_answers = -2.5) {
  LayerChoice choice;
  choice.full = values_with_means(3, 0, -0.5);
  choice.sparse = values_with_means(3.4, 0.2, sparse_answers);
  choice.effects = {{1, values_with_means(3, 0.05, -0.5)},
                    {2, values_with_means(3, 0.02, -0.5)},
                    {4, values_with_means(3, 0.1, -1.5)}};
  choice.order = {{4, values_with_means(3, 0.1, -1)}, {2, values_with_means(3, 0.05, -0.7)}};
  choice.num_full = 2;
  return choice;
}

TEST(GateRanking, SlopesArePartsOfWhatIsLost) {
  const GateRanking ranking =
      rank_by_gates({.kl = {8, 2, 10}, .answers = {-5, 5, 15}}, made_up_choice());
  EXPECT_NEAR(ranking.lost.at(1), 0.4 / 2, 1e-12);  // answers that are better count as 0
  EXPECT_NEAR(ranking.lost.at(2), (0.1 + 0.25) / 2, 1e-12);
  EXPECT_NEAR(ranking.lost.at(4), (0.5 + 0.75) / 2, 1e-12);
  EXPECT_EQ(ranking.order, (std::vector<int64_t>{4, 1, 2}));
  EXPECT_DOUBLE_EQ(ranking.rank_correlation, 1);
  EXPECT_EQ(ranking.num_in_plan, 1);  // of 4 and 1; the plan has 2 and 4
}

TEST(GateRanking, FollowsTheTextWhereAnswersDoNotCount) {
  const GateRanking ranking =
      rank_by_gates({.kl = {2, 8, 8}, .answers = {99, 0, 0}}, made_up_choice(-0.6));
  EXPECT_NEAR(ranking.lost.at(1), 0.1, 1e-12);
  EXPECT_EQ(ranking.order, (std::vector<int64_t>{2, 4, 1}));  // equal ones by number
  EXPECT_EQ(ranking.num_in_plan, 2);
}

TEST(GateRanking, HasNoCorrelationWhereNothingTellsLayersApart) {
  const GateRanking ranking =
      rank_by_gates({.kl = {0, 0, 0}, .answers = {0, 0, 0}}, made_up_choice());
  EXPECT_TRUE(std::isnan(ranking.rank_correlation));
}

TEST(GateSlopes, AddUpAndAreReadBack) {
  GateSlopes sum;
  sum += {.kl = {1, 0.1}, .answers = {-2, 1e-9}};
  sum += {.kl = {0.5, -1}, .answers = {4, 0}};
  EXPECT_EQ(sum, (GateSlopes{.kl = {1.5, -0.9}, .answers = {2, 1e-9}}));
  const Json json = Json::parse(dump_json(to_json(sum)));
  EXPECT_EQ(gate_slopes_from_json(JsonObject(json, "f"), 2), sum);
  EXPECT_ERROR(gate_slopes_from_json(JsonObject(json, "f"), 3),
               "f: field kl: expected a list of 3 numbers.");
  EXPECT_TRUE(sum.are_finite());
  sum.answers[1] = std::nan("");
  EXPECT_FALSE(sum.are_finite());
}

}  // namespace
}  // namespace longgen
