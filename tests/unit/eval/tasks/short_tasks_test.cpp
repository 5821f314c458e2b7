// Short tasks: the texts of their items. tests/e2e/eval_suite_oracle_test.py holds them against
// lm-eval.
#include "longgen/eval/tasks/short/short_tasks.h"

#include <gtest/gtest.h>

#include "longgen/eval/tasks/short/file_tasks.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

class ShortTasksTest : public FolderTest {
 protected:
  SuiteTask open(const std::string& name, int64_t shots = 0) const {
    return open_short_task(name, {.folder = dir_, .shots = shots});
  }
};

TEST_F(ShortTasksTest, WinograndeScoresTheRestAfterEachName) {
  put("winogrande_xl_val.jsonl",
      R"({"id": 4, "question": "Ann saw Bea, so _ waved. ", "choices": ["Ann", "Bea"], "gold": 1})");
  const ChoiceItem item = open("winogrande").choice(0);
  EXPECT_EQ(item.id, "4");
  EXPECT_EQ(item.gold, 1);
  EXPECT_EQ(item.choices[0].context, "Ann saw Bea, so Ann");
  EXPECT_EQ(item.choices[1].context, "Ann saw Bea, so Bea");
  EXPECT_EQ(item.choices[1].text, " waved.");
}

TEST_F(ShortTasksTest, MmluByLettersWithSolvedQuestionsOfTheSubject) {
  const auto line = [](const std::string& subject, const std::string& question) {
    return R"({"subject": ")" + subject + R"(", "question": ")" + question +
           R"(", "choices": ["w", "x", "y", "z"], "gold": 2})" + "\n";
  };
  put("mmlu_test.jsonl", line("moral_disputes", " Q? ") + line("virology", "R?"));
  put("mmlu_dev.jsonl", line("virology", "S?") + line("moral_disputes", "T?") +
                            line("moral_disputes", "U?") + line("virology", "V?"));
  const ChoiceItem item = open("mmlu", 1).choice(0);
  EXPECT_EQ(item.id, "moral_disputes/0");
  EXPECT_EQ(item.choices[1].context,
            "The following are multiple choice questions (with answers) about moral disputes.\n\n"
            "T?\nA. w\nB. x\nC. y\nD. z\nAnswer: C\n\n"
            "Q?\nA. w\nB. x\nC. y\nD. z\nAnswer:");
  EXPECT_EQ(item.choices[1].text, " B");
  const ChoiceItem cloze = open("mmlu_cloze", 1).choice(1);
  EXPECT_EQ(cloze.choices[3].context,
            "The following are questions (with answers) about virology.\n\n"
            "Question: S?\nAnswer: y\n\nQuestion: R?\nAnswer:");
  EXPECT_EQ(cloze.choices[3].text, " z");
  EXPECT_ERROR(open("mmlu", 3), "expected 3 solved questions of each subject (--shots), found 2");
}

TEST_F(ShortTasksTest, Gsm8kFindsNumbersAsLmEvalDoes) {
  EXPECT_EQ(score_gsm8k_flexible("So 3 + 4 = 7, that is $1,200.", "1200"), 1);
  EXPECT_EQ(score_gsm8k_flexible("It was 1200 and then 7", "1200"), 0);
  EXPECT_EQ(score_gsm8k_flexible("It fell to -5", "-5"), 1);
  EXPECT_EQ(score_gsm8k_flexible("12.", "12"), 1);
  EXPECT_EQ(score_gsm8k_flexible("no number", ""), 0);
  EXPECT_EQ(score_gsm8k_strict("7\n#### 1,200\n#### 5", "1200"), 1);
  EXPECT_EQ(score_gsm8k_strict("The answer is 1200", "1200"), 0);
  EXPECT_EQ(score_gsm8k_strict("#### ", ""), 0);
  put("gsm8k_test.jsonl", R"({"question": "How many?", "answer": "3 + 4\n#### 1,007"})");
  const GenerationItem item = open("gsm8k").generation(0);
  EXPECT_EQ(item.prompt, "Question: How many?\nAnswer:");
  EXPECT_EQ(item.references, std::vector<std::string>{"1,007"});
  EXPECT_EQ(item.score("makes 1007"), 1);
  EXPECT_EQ(item.more_scores.at(0).second("makes 1007"), 0);
}

TEST_F(ShortTasksTest, ItemsOfTheUser) {
  const fs::path choices =
      put("my set.jsonl",
          R"({"context": "1 + 1 =", "choices": ["2", "3"], "gold": 0, "delimiter": ""})"
          "\n\n"
          R"({"id": "b", "question": "Why?", "choices": ["So", "No"], "gold": 1, "note": {}})");
  const SuiteTask task = open_user_task(choices);
  EXPECT_EQ(task.name, "my_set");
  EXPECT_EQ(task.scores, (std::vector<std::string>{"acc_norm", "acc"}));
  EXPECT_EQ(task.choice(0).choices[1].text, "3");
  EXPECT_EQ(task.choice(1).choices[1].context, "Question: Why?\nAnswer:");
  EXPECT_EQ(task.choice(1).choices[1].text, " No");
  const SuiteTask replies = open_user_task(put(
      "r.jsonl",
      R"({"prompt": "p", "answer_prefix": " It", "references": ["Red", "blue"], "stops": ["\n"]})"
      "\n"
      R"({"prompt": "p", "references": ["Red", "blue"], "match": "all", "new_tokens": 7})"
      "\n"
      R"({"prompt": "p", "references": ["Red"], "match": "exact"})"
      "\n"
      R"({"prompt": "p", "references": ["1,000"], "match": "number"})"
      "\n"
      R"({"prompt": "p"})"));
  EXPECT_EQ(replies.generation(0).answer_prefix, " It");
  EXPECT_EQ(replies.generation(0).new_tokens, 128);
  EXPECT_EQ(replies.generation(0).score("a red one"), 1);
  EXPECT_EQ(replies.generation(1).new_tokens, 7);
  EXPECT_EQ(replies.generation(1).score("a red one"), 0.5);
  EXPECT_EQ(replies.generation(2).score(" red\n"), 1);
  EXPECT_EQ(replies.generation(2).score("red one"), 0);
  EXPECT_EQ(replies.generation(3).score("it is 1000."), 1);
  EXPECT_FALSE(replies.generation(4).score);
}

TEST_F(ShortTasksTest, MalformedFilesAreToldByLineAndField) {
  const auto error = [&](const std::string& line) {
    const fs::path file = put("x.jsonl", R"({"context": "c", "choices": ["a"], "gold": 0})"
                                         "\n" +
                                             line);
    const std::string text = error_of([&] { open_user_task(file); });
    const std::string start = file.string() + ":2: ";
    EXPECT_TRUE(text.starts_with(start)) << text;
    return text.substr(std::min(start.size(), text.size()));
  };
  EXPECT_EQ(error(R"({"context": "c", "choices": ["a", "b"], "gold": 2})"),
            "field gold: expected an integer from 0 to 1, found 2.");
  EXPECT_EQ(error(R"({"context": "c", "choices": ["a", ""], "gold": 0})"),
            "field choices: expected texts that are not empty, found \"\" as entry 2.");
  EXPECT_EQ(error(R"({"context": "c", "choices": [], "gold": 0})"),
            "field choices: expected at least 1 texts, found 0.");
  EXPECT_EQ(error(R"({"choices": ["a"], "gold": 0})"),
            "expected one of the fields context and question, found none.");
  EXPECT_EQ(error(R"({"context": "c", "choices": ["a"], "gold": 0, "delimeter": ""})"),
            "expected the fields id, context, question, choices, gold, delimiter or note, found "
            "\"delimeter\". Did you mean \"delimiter\"?");
  EXPECT_EQ(error(R"({"id": 0, "context": "c", "choices": ["a"], "gold": 0})"),
            "field id: expected an id of its own, found 0, which " + (dir_ / "x.jsonl").string() +
                ":1 has.");
  EXPECT_EQ(error("[1]"), "expected a JSON object, an item a line, found array.");
  EXPECT_ERROR(open_user_task(put("y.jsonl", R"({"promt": "p"})")),
               "y.jsonl:1: expected an item with \"choices\" or with \"prompt\", found neither.");
  EXPECT_ERROR(open_user_task(put("empty.jsonl", "\n")),
               "expected JSON lines, an item each, found none");
  EXPECT_ERROR(open_user_task(dir_ / "none.jsonl"), "found nothing of this name");
  EXPECT_ERROR(open("piqa"), "piqa_val.jsonl: missing. The task piqa needs it");
  put("winogrande_xl_val.jsonl", R"({"question": "no gap", "choices": ["a", "b"], "gold": 1})");
  EXPECT_ERROR(open("winogrande"), "item 0: field question: expected a sentence with _");
}

}  // namespace
}  // namespace longgen
