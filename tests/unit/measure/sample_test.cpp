#include "longgen/measure/sample.h"

#include <gtest/gtest.h>

#include <set>

#include "longgen/measure/recall_questions.h"
#include "tests/unit/error_text.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

Tokenizer byte_tokenizer() { return make_tokenizer(byte_level_json()); }

std::string prose(size_t size) {
  std::string text;
  while (text.size() < size) text += "It was a calm sea. The ship went on, and nobody spoke. ";
  return text.substr(0, size);
}

std::string text_of(const Tokenizer& tokenizer, const MeasureSample& sample, TokenRange range) {
  return tokenizer.decode(std::span(sample.ids).subspan(range.begin, range.end - range.begin));
}

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(RecallQuestions, HaveAnswersOfTheirOwn) {
  const std::vector<RecallFact> facts = make_recall_facts(kMaxRecallFacts, 7);
  std::set<std::string> answers, questions;
  for (const RecallFact& fact : facts) {
    EXPECT_EQ(count_of(fact.statement, fact.answer), 1) << fact.statement;
    EXPECT_EQ(count_of(fact.question, fact.answer), 0) << fact.question;
    EXPECT_EQ(fact.statement.find('%') + fact.question.find('%'), 2 * std::string::npos);
    answers.insert(fact.answer);
    questions.insert(fact.question);
  }
  EXPECT_EQ(answers.size(), facts.size());
  EXPECT_EQ(questions.size(), facts.size());
  EXPECT_EQ(make_recall_facts(3, 7)[2].statement, facts[2].statement);
  EXPECT_NE(make_recall_facts(3, 8)[2].statement, facts[2].statement);
  EXPECT_ERROR(make_recall_facts(kMaxRecallFacts + 1, 7), "questions: expected at most 96");
}

class SampleTest : public ::testing::TestWithParam<const char*> {
 protected:
  SampleOptions options(int64_t questions = 6) const {
    return {.sparse = Pattern::parse(GetParam()).for_heads(2),
            .num_kv_heads = 2,
            .questions = questions,
            .seed = 3};
  }
  std::vector<int32_t> text(int64_t tokens) const {
    std::vector<int32_t> ids = tokenizer_.encode(prose(static_cast<size_t>(2 * tokens)));
    ids.resize(static_cast<size_t>(tokens));
    return ids;
  }
  Tokenizer tokenizer_ = byte_tokenizer();
};
INSTANTIATE_TEST_SUITE_P(Patterns, SampleTest,
                         ::testing::Values("sink=1,window=2", "sink=0,window=1",
                                           "sink=1,window=3,stride=4"));

TEST_P(SampleTest, HoldsEachFactOnceAndAsksForIt) {
  const MeasureSample sample = make_measure_sample(text(3000), tokenizer_, options());
  EXPECT_EQ(sample.ids.size(), 3000u);
  const std::vector<RecallFact> facts = make_recall_facts(6, 3);
  ASSERT_EQ(sample.answers.size(), 6u);
  const std::string all = tokenizer_.decode(sample.ids);
  for (size_t i = 0; i < facts.size(); ++i) {
    EXPECT_EQ(text_of(tokenizer_, sample, sample.facts[i]), "\n" + facts[i].statement + "\n");
    EXPECT_EQ(text_of(tokenizer_, sample, sample.answers[i]), " " + facts[i].answer);
    EXPECT_EQ(count_of(all, facts[i].statement), 1);
    EXPECT_EQ(count_of(all, facts[i].answer), 2);
    EXPECT_EQ(count_of(all, facts[i].question), 1);
  }
  EXPECT_EQ(sample.answers.back().end, 3000);
}

TEST_P(SampleTest, FactsAreSpreadWhereNoWindowReaches) {
  const MeasureSample sample = make_measure_sample(text(4000), tokenizer_, options());
  const Pattern pattern = options().sparse;
  const int64_t first_question = sample.answers.front().begin - 200;
  std::set<int64_t> eighths;
  for (const TokenRange& fact : sample.facts) {
    EXPECT_GE(fact.begin, pattern.sink_blocks() * Pattern::kBlock);
    // From the last fact's end the window's first block is farther on.
    for (const TokenRange& answer : sample.answers) {
      EXPECT_LE(fact.end,
                (answer.begin / Pattern::kBlock - pattern.window_blocks() + 1) * Pattern::kBlock);
    }
    eighths.insert(fact.begin / 500);
  }
  EXPECT_GT(first_question, 0);
  EXPECT_GE(eighths.size(), 5u);
}

TEST_P(SampleTest, FarTextIsTextThatTheWindowDoesNotShow) {
  const std::vector<int32_t> ids = text(3000);
  const MeasureSample sample = make_measure_sample(ids, tokenizer_, options());
  const int64_t far = first_far_position(options().sparse, 2, 3000);
  int64_t in_facts = 0;
  std::set<int64_t> positions(sample.far_text.begin(), sample.far_text.end());
  EXPECT_EQ(positions.size(), sample.far_text.size());
  EXPECT_GT(sample.far_text.front(), far);
  for (const TokenRange& fact : sample.facts) {
    in_facts += fact.end - fact.begin;
    for (int64_t t = fact.begin; t <= fact.end; ++t) EXPECT_FALSE(positions.contains(t));
  }
  // Text before the first fact is the document's own.
  int64_t first_fact = 3000;
  for (const TokenRange& fact : sample.facts) first_fact = std::min(first_fact, fact.begin);
  EXPECT_TRUE(std::equal(ids.begin(), ids.begin() + first_fact, sample.ids.begin()));
  const int64_t tail = sample.answers.front().begin;
  EXPECT_LT(sample.far_text.back(), tail);
  EXPECT_GT(static_cast<int64_t>(sample.far_text.size()), tail - far - in_facts - 400);
}

TEST_P(SampleTest, ShortTextsGetFewerQuestionsOrNone) {
  EXPECT_EQ(make_measure_sample(text(5000), tokenizer_, options(0)).answers.size(), 16u);
  EXPECT_EQ(make_measure_sample(text(1300), tokenizer_, options(0)).answers.size(), 4u);
  EXPECT_ERROR(make_measure_sample(text(400), tokenizer_, options(0)),
               "[measure] 400 tokens are too few: 4 questions at the end");
  EXPECT_ERROR(make_measure_sample(text(1500), tokenizer_, options(16)), "too few: 16 questions");
}

TEST(FirstFarPosition, IsWhereTheWindowLeavesSomethingBehind) {
  const auto first = [](const char* pattern, int64_t length) {
    return first_far_position(Pattern::parse(pattern).for_heads(2), 2, length);
  };
  EXPECT_EQ(first("sink=1,window=16", 8192), 17 * 64);
  EXPECT_EQ(first("sink=0,window=1", 8192), 64);
  EXPECT_EQ(first("sink=1,window=16", 1000), 1000);
  EXPECT_EQ(first("sink=1,window=3,stride=2", 8192), 4 * 64);
}

}  // namespace
}  // namespace longgen
