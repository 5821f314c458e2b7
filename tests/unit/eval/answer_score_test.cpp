#include "longgen/eval/answer_score.h"

#include "test_support.h"

namespace longgen {
namespace {

using Answers = std::vector<std::string>;

TEST(AnswerScore, FindsAnswersInEitherCase) {
  EXPECT_EQ(score_all_answers(" 1234567.", Answers{"1234567"}), 1);
  EXPECT_EQ(score_all_answers("1234568", Answers{"1234567"}), 0);
  EXPECT_EQ(score_all_answers("", Answers{"1234567"}), 0);
  EXPECT_EQ(score_all_answers("It is ABC", Answers{"abc"}), 1);
  EXPECT_EQ(score_all_answers("ONE and two, I think", Answers{"one", "Two", "three", "four"}), 0.5);
}

TEST(AnswerScore, AnyOneAnswerIsEnough) {
  EXPECT_EQ(score_any_answer("in Paris", Answers{"the city of paris", "PARIS"}), 1);
  EXPECT_EQ(score_any_answer("in Rome", Answers{"the city of paris", "paris"}), 0);
}

TEST(AnswerScore, RefusesWhatEveryReplyWouldHold) {
  EXPECT_TRUE(fails_with([] { score_all_answers("x", Answers{""}); },
                         "expected an answer, found an empty one"));
  EXPECT_TRUE(fails_with([] { score_any_answer("x", Answers{}); }, "found none"));
}

}  // namespace
}  // namespace longgen
