#include "longgen/eval/tasks/babilong.h"

#include <algorithm>

#include "longgen/eval/tasks/babi_stories.h"
#include "tests/unit/eval/tasks/long_task_test.h"

namespace longgen {
namespace {

std::string context_of(const GenerationItem& item) {
  return between(item.prompt, "\n\n<context>\n", "\n</context>");
}

/// Returns the facts of a context, in order.
std::vector<std::string> facts_in(const std::string& context) {
  std::vector<std::string> facts;
  for (const std::string& sentence : split(context, ". ")) {
    if (sentence.starts_with("Mary") || sentence.starts_with("John")) {
      facts.push_back(sentence.ends_with('.') ? sentence : sentence + ".");
    }
  }
  return facts;
}

TEST_F(LongTaskTest, FactsStandInOrderAmongTheSentencesOfBooks) {
  for (int64_t index = 0; index < 12; ++index) {
    SCOPED_TRACE(index);
    const GenerationItem alone = item("babilong_qa1", 0, index);
    const GenerationItem sample = item("babilong_qa1", 6000, index);
    const std::string question = alone.prompt.substr(alone.prompt.find("\n</context>"));
    EXPECT_TRUE(sample.prompt.ends_with(question));  // the same one at each length
    EXPECT_EQ(alone.references, sample.references);
    const std::vector<std::string> facts = facts_in(context_of(alone));
    EXPECT_TRUE(facts.size() == 2 || facts.size() == 4);
    EXPECT_EQ(facts_in(context_of(sample)), facts);
    const std::string context = context_of(sample);
    EXPECT_GT(count_of(context, "Chapter "), 30);
    EXPECT_EQ(count_of(context, "Alas"), 0);  // sentences below ten tokens are left out
  }
}

TEST_F(LongTaskTest, WithoutLengthTheFactsStandAlone) {
  put_babi(1,
           "1 Mary moved to the office.\n2 John went to the garden.\n3 Where is Mary? |office|1\n");
  const GenerationItem sample = item("babilong_qa1", 0, 0);
  EXPECT_EQ(sample.prompt,
            "I will give you context with the facts about positions of different persons hidden in "
            "some random text and a question. You need to answer the question based only on the "
            "information from the facts. If a person was in different locations, use the latest "
            "location to answer the question.\n\n<example>\nCharlie went to the hallway. Judith "
            "come back to the kitchen. Charlie travelled to balcony. Where is Charlie?\nAnswer: "
            "The most recent location of Charlie is balcony.\n</example>\n\n<example>\nAlan moved "
            "to the garage. Charlie went to the beach. Alan went to the shop. Rouse travelled to "
            "balcony. Where is Alan?\nAnswer: The most recent location of Alan is shop.\n"
            "</example>\n\nAlways return your answer in the following format: The most recent "
            "location of ’person’ is ’location’. Do not write anything else after "
            "that.\n\n<context>\nMary moved to the office. John went to the garden.\n</context>"
            "\n\nQuestion: Where is Mary?");
  EXPECT_EQ(sample.answer_prefix, "");
  EXPECT_EQ(sample.id, "0/0");
}

TEST_F(LongTaskTest, QuestionsWhoseFactsDoNotFitAreLeftOut) {
  std::string text = "1 Where is Bill?\tgarden\t1\n";
  for (int i = 1; i <= 50; ++i) text += std::to_string(i) + " John stood in the kitchen.\n";
  put_babi(2, text + "51 Where is John?\tkitchen\t1\n");
  const auto task = tasks(tokenizer_).make("babilong_qa2");
  for (int64_t index = 0; index < 6; ++index) {
    EXPECT_EQ(task->item(1600, index).references[0], "garden");
  }
  EXPECT_NE(task->item(0, 0).references, task->item(0, 1).references);
  EXPECT_NE(task->item(4000, 0).references, task->item(4000, 1).references);
}

TEST_F(LongTaskTest, FilesThatAreNoBabiTaskAreRefused) {
  const LongTasks all = tasks(tokenizer_);
  put_babi(1, "Mary moved.\n");
  EXPECT_ERROR(all.make("babilong_qa1"),
               "qa1_x_test.txt:1: expected a line that begins with 1, "
               "found \"Mary moved.\". Is this a file of the bAbI tasks?");
  put_babi(1, "1 Mary moved.\n3 John went.\n");
  EXPECT_ERROR(all.make("babilong_qa1"),
               "qa1_x_test.txt:2: expected a line that begins with 2 or 1");
  put_babi(1, "1 Where?\t\t1\n");
  EXPECT_ERROR(all.make("babilong_qa1"),
               "qa1_x_test.txt:1: expected a question, a tab and its answer");
  put_babi(1, "1 Mary moved.\n");
  EXPECT_ERROR(all.make("babilong_qa1"), "qa1_x_test.txt: expected questions, found none.");
  put_babi(1, "1 Where is Mary?\tmoon\t1\n");
  EXPECT_ERROR(all.make("babilong_qa1"),
               "expected answers of babilong_qa1, such as \"bathroom\", "
               "found \"moon\" to \"Where is Mary?\".");
}

TEST_F(LongTaskTest, TheFolderOfOneThousandQuestionsServesToo) {
  fs::rename(dir_ / "babi/en-10k", dir_ / "babi/en");
  put("babi/en/qa1_x_train.txt", "not to be read");
  EXPECT_EQ(item("babilong_qa1", 0, 0).references.size(), 1u);
}

/// Scores a reply with the labels of a task.
double score(int task, const std::string& reply, const std::string& question,
             const std::string& answer) {
  const auto& labels = babilong_prompts()[static_cast<size_t>(task - 1)].labels;
  return score_babilong(reply, question, answer, labels);
}

TEST(ScoreBabilong, TheAnswerMustBeTheOnlyLabelOfTheFirstSentence) {
  const std::string where = "Where is Mary?";
  EXPECT_EQ(
      score(1, " The most recent location of Mary is Garden. Not the office", where, "garden"), 1);
  EXPECT_EQ(score(1, "garden or office", where, "garden"), 0);
  EXPECT_EQ(score(1, "No. The garden", where, "garden"), 0);
  EXPECT_EQ(score(1, "garden\n<example>\nin the office", where, "garden"), 1);
  EXPECT_EQ(score(1, "garden <context> office", where, "garden"), 1);
  EXPECT_EQ(score(1, "", where, "garden"), 0);
  EXPECT_EQ(score(1, "gardens", where, "garden"), 1);
}

TEST(ScoreBabilong, LabelsOfTheQuestionDoNotCount) {
  const std::string before = "Where was the milk before the Office?";
  EXPECT_EQ(score(3, "Before the office the milk was in the kitchen", before, "kitchen"), 1);
  EXPECT_EQ(score(3, "It was in the office", before, "kitchen"), 0);
  EXPECT_EQ(score(5, "Bill gave the apple to Fred", "Who did Bill give the apple to?", "Fred"), 1);
}

TEST(ScoreBabilong, SeveralObjectsMustAllBeNamed) {
  const std::string what = "What is Daniel carrying?";
  EXPECT_EQ(score(8, "milk, apple", what, "apple,milk"), 1);
  EXPECT_EQ(score(8, "apple", what, "apple,milk"), 0);
  EXPECT_EQ(score(8, "apple, milk, football", what, "apple,milk"), 0);
  EXPECT_EQ(score(8, "apple, milk", what, "apple"), 0);
}

TEST(ScoreBabilong, ALabelWithinALongerOneIsNotFoundThere) {
  const std::string how_many = "How many objects is Mary carrying?";
  EXPECT_EQ(score(7, "none", how_many, "none"), 1);
  EXPECT_EQ(score(7, "none", how_many, "one"), 0);
  EXPECT_EQ(score(7, "One", how_many, "one"), 1);
  EXPECT_EQ(score(7, "one or none", how_many, "none"), 0);
  EXPECT_EQ(score(10, "maybe", "Is Mary in the park?", "maybe"), 1);
}

}  // namespace
}  // namespace longgen
