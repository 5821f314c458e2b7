#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include "tests/unit/eval/tasks/long_task_test.h"

namespace longgen {
namespace {

constexpr int64_t kLength = 6000;

const std::string kNeedle = "One of the special magic ";

/// Returns the needles of a prompt.
std::vector<std::string> needles_in(const std::string& prompt) {
  const std::regex needle("One of the special magic \\w+ for [^:]+ is: [0-9a-f-]+\\.");
  std::vector<std::string> found;
  for (std::sregex_iterator at(prompt.begin(), prompt.end(), needle), end; at != end; ++at) {
    found.push_back(at->str());
  }
  return found;
}

struct NiahCase {
  const char* task;
  size_t num_needles;  // of the sample, without those of the haystack; 0: all are needles
  size_t num_references;
  const char* kind;
};

class NiahTest : public LongTaskTest, public ::testing::WithParamInterface<NiahCase> {};

TEST_P(NiahTest, EachReferenceStandsInThePromptOnceInItsNeedle) {
  const NiahCase c = GetParam();
  for (int64_t index = 0; index < 5; ++index) {
    const GenerationItem sample = item(c.task, kLength, index);
    ASSERT_EQ(sample.references.size(), c.num_references);
    const std::vector<std::string> needles = needles_in(sample.prompt);
    EXPECT_TRUE(c.num_needles == 0 ? needles.size() > 30 : needles.size() == c.num_needles)
        << needles.size();
    const std::string query = between(sample.answer_prefix, " for ", " mentioned in");
    for (const std::string& reference : sample.references) {
      EXPECT_EQ(count_of(sample.prompt, reference), 1);
      const auto holds = [&](const std::string& needle) { return contains(needle, reference); };
      const auto needle = std::find_if(needles.begin(), needles.end(), holds);
      ASSERT_NE(needle, needles.end());
      const std::string key = between(*needle, " for ", " is: ");
      EXPECT_TRUE(contains(query, key));
      EXPECT_EQ(*needle, kNeedle + c.kind + " for " + key + " is: " + reference + ".");
    }
    EXPECT_EQ(split(query, ", ").size(), std::string(c.task) == "niah_multiquery" ? 4u : 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, NiahTest,
                         ::testing::Values(NiahCase{"niah_single_1", 1, 1, "numbers"},
                                           NiahCase{"niah_single_2", 1, 1, "numbers"},
                                           NiahCase{"niah_single_3", 1, 1, "uuids"},
                                           NiahCase{"niah_multikey_1", 4, 1, "numbers"},
                                           NiahCase{"niah_multikey_2", 0, 1, "numbers"},
                                           NiahCase{"niah_multikey_3", 0, 1, "uuids"},
                                           NiahCase{"niah_multivalue", 4, 4, "numbers"},
                                           NiahCase{"niah_multiquery", 4, 4, "numbers"}),
                         [](const auto& instance) { return std::string(instance.param.task); });

TEST_F(LongTaskTest, OneValueIsAskedForInOtherWordsThanSeveral) {
  const GenerationItem one = item("niah_single_3", kLength, 0);
  EXPECT_TRUE(one.prompt.starts_with(
      "A special magic uuid is hidden within the following text. Make sure to memorize it. I will "
      "quiz you about the uuid afterwards.\nChapter "));
  const std::string key = between(one.answer_prefix, " for ", " mentioned");
  EXPECT_TRUE(one.prompt.ends_with(".\nWhat is the special magic uuid for " + key +
                                   " mentioned in the provided text?"));
  EXPECT_EQ(one.answer_prefix,
            " The special magic uuid for " + key + " mentioned in the provided text is");
  const GenerationItem four = item("niah_multiquery", kLength, 0);
  EXPECT_TRUE(four.prompt.starts_with(
      "Some special magic numbers are hidden within the following text. Make sure to memorize it. "
      "I will quiz you about the numbers afterwards.\n"));
  EXPECT_TRUE(std::regex_search(
      four.prompt, std::regex("\nWhat are all the special magic numbers for [^,]+, [^,]+, [^,]+, "
                              "and [^,]+ mentioned in the provided text\\?$")));
  EXPECT_TRUE(four.answer_prefix.ends_with(" mentioned in the provided text are"));
}

TEST_F(LongTaskTest, NeedlesStandAtFortyDepths) {
  const auto task = tasks(tokenizer_).make("niah_single_1");
  std::set<size_t> places;
  for (int64_t index = 0; index < 60; ++index) {
    const std::string prompt = task->item(kLength, index).prompt;
    const std::vector<std::string> lines =
        split(between(prompt, "afterwards.\n", "\nWhat is"), "\n");
    const auto needle = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.starts_with(kNeedle);
    });
    const auto place = static_cast<size_t>(needle - lines.begin());
    std::set<size_t> allowed;
    for (int i = 0; i < 40; ++i) {
      const auto percent = static_cast<size_t>(std::lround(i * 100.0 / 39));
      allowed.insert((lines.size() - 1) * percent / 100);
    }
    EXPECT_EQ(allowed.count(place), 1u) << place << " of " << lines.size();
    places.insert(place);
  }
  EXPECT_GE(places.size(), 20u);
}

TEST_F(LongTaskTest, UuidsAreOfVersionFour) {
  const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  const GenerationItem sample = item("niah_multikey_3", 40000, 0);
  std::set<std::string> values;
  for (const std::string& needle : needles_in(sample.prompt)) {
    const std::string key = between(needle, " for ", " is: "),
                      value = between(needle, " is: ", ".");
    EXPECT_TRUE(std::regex_match(key, uuid)) << key;
    EXPECT_TRUE(std::regex_match(value, uuid)) << value;
    values.insert({key, value});
  }
  EXPECT_EQ(values.size(), 2 * needles_in(sample.prompt).size());
}

TEST_F(LongTaskTest, VariablesAreTheWholeChain) {
  for (const int64_t length : {2500, 6000}) {
    const GenerationItem sample = item("vt", length, 0);
    const std::string lines = between(sample.prompt, "in the following text.\n\n", "\nQuestion:");
    const std::string value = between(sample.prompt, "assigned the value ", " in the text above.");
    std::map<std::string, std::string> values;
    std::vector<std::string> chain;
    size_t last = 0, number = 0;
    for (const std::string& line : split(lines, "\n")) {
      ++number;
      if (!line.starts_with("VAR ")) continue;
      EXPECT_GT(number, last + (chain.empty() ? 0 : 1)) << "two assignments stand together";
      last = number;
      const std::string name = line.substr(4, 5);
      const std::string is = line.substr(12);
      values[name] = is.starts_with("VAR ") ? values[is.substr(4, 5)] : is;
      if (values[name] == value) chain.push_back(name);
    }
    EXPECT_EQ(chain.size(), 5u);
    EXPECT_EQ(chain, sample.references);
    EXPECT_EQ(sample.answer_prefix,
              " Answer: According to the chain(s) of variable assignment in the text above, 5 "
              "variables are assigned the value " +
                  value + ", they are: ");
    // The example before it is solved, of another value, and has its answer.
    EXPECT_EQ(count_of(sample.prompt, "Memorize and track the chain(s)"), 2);
    EXPECT_TRUE(std::regex_search(sample.prompt,
                                  std::regex("they are:  ([A-Z]{3} ){4}[A-Z]{3}\n\nMemorize")));
  }
}

/// Counts the words of "1. word 2. word ..." and expects the numbers in order.
std::map<std::string, int> count_words(const std::string& list) {
  std::map<std::string, int> counts;
  const std::regex entry("(\\d+)\\. (.*?)(?= \\d+\\. |$)");
  int number = 0;
  for (std::sregex_iterator at(list.begin(), list.end(), entry), end; at != end; ++at) {
    EXPECT_EQ(std::stoi((*at)[1]), ++number);
    ++counts[(*at)[2]];
  }
  return counts;
}

void expect_common(const std::map<std::string, int>& counts,
                   const std::vector<std::string>& references, int common, int other) {
  ASSERT_EQ(references.size(), 10u);
  for (const auto& [word, count] : counts) {
    const bool asked = std::find(references.begin(), references.end(), word) != references.end();
    EXPECT_EQ(count, asked ? common : other) << word;
  }
  for (const std::string& word : references) EXPECT_EQ(counts.count(word), 1u) << word;
}

constexpr const char* kListBegins = "Memorize the ones that appear most often.\n";
constexpr const char* kListEnds = "\nQuestion: What are the 10";

TEST_F(LongTaskTest, CommonWordsAreTheMostFrequentOfTheList) {
  for (const int64_t length : {3000, 6500}) {
    const bool short_form = length < 4096;
    const GenerationItem sample = item("cwe", length, 0);
    const auto counts = count_words(between(sample.prompt, kListBegins, kListEnds));
    expect_common(counts, sample.references, short_form ? 6 : 30, short_form ? 1 : 3);
    EXPECT_GT(counts.size(), 20u);
    // The example and its answer.
    const std::string example = sample.prompt.substr(0, sample.prompt.rfind("Below is a numbered"));
    std::vector<std::string> answer;
    const auto answers = count_words(between(example, "most often in the list are: ", "\n"));
    for (const auto& [word, count] : answers) answer.push_back(word);
    expect_common(count_words(between(example, kListBegins, kListEnds)), answer,
                  short_form ? 3 : 10, short_form ? 1 : 3);
  }
}

TEST_F(LongTaskTest, ManyWordsComeFromTheLargerList) {
  const GenerationItem sample = item("cwe", 20000, 0);
  const auto counts = count_words(between(sample.prompt, kListBegins, kListEnds));
  expect_common(counts, sample.references, 30, 3);
  EXPECT_GT(counts.size(), 55u);  // the small lists hold 56 words
  for (const auto& [word, count] : counts) EXPECT_TRUE(word.starts_with("long")) << word;
}

TEST_F(LongTaskTest, FrequentWordsAreTheThreeAfterTheDots) {
  for (const int64_t length : {2000, 12000}) {
    const GenerationItem sample = item("fwe", length, 1);
    std::map<std::string, int> counts;
    const std::string text = between(sample.prompt, "coded words. ", "\nQuestion: Do not");
    for (const std::string& word : split(text, " ")) ++counts[word];
    ASSERT_EQ(sample.references.size(), 3u);
    int last = counts["..."];
    for (const std::string& word : sample.references) {
      EXPECT_LT(counts[word], last);
      last = counts[word];
      EXPECT_EQ(word.size(), 6u);
      counts.erase(word);
    }
    counts.erase("...");
    for (const auto& [word, count] : counts) EXPECT_LT(count, last) << word;
  }
  // The frequencies fall with the square of the rank.
  const GenerationItem sample = item("fwe", 60000, 0);
  const std::string text = between(sample.prompt, "coded words. ", "\nQuestion: Do not");
  const auto dots = static_cast<double>(count_of(text, "..."));
  for (int rank = 2; rank <= 4; ++rank) {
    const std::string& word = sample.references[static_cast<size_t>(rank - 2)];
    EXPECT_NEAR(static_cast<double>(count_of(text, word)), dots / (rank * rank), 1);
  }
  // The question alone fits, but not enough words to tell their frequencies.
  const std::string text_of_error = error_of([&] { item("fwe", 100, 0); });
  const int64_t shortest = std::stol(text_of_error.substr(text_of_error.find("least ") + 6));
  EXPECT_ERROR(item("fwe", shortest, 0), "[fwe] length: expected enough tokens");
}

std::vector<std::string> documents_of(const std::string& prompt) {
  std::vector<std::string> documents;
  const std::string text =
      between(prompt, "given documents.\n\nDocument", "\n\nAnswer the question");
  for (const std::string& part : split(" " + text.substr(1), "\n\nDocument ")) {
    const size_t colon = part.find(":\n");
    EXPECT_EQ(std::stoi(part.substr(part[0] == ' ' ? 1 : 0, colon)),
              static_cast<int>(documents.size()) + 1);
    documents.push_back(part.substr(colon + 2));
  }
  return documents;
}

TEST_F(LongTaskTest, TheDocumentOfTheAnswerStandsAmongOthers) {
  for (const char* task : {"qa_1", "qa_2"}) {
    std::set<std::string> questions;
    for (int64_t index = 0; index < 15; ++index) {
      const GenerationItem sample = item(task, 1000, index);
      const std::vector<std::string> documents = documents_of(sample.prompt);
      EXPECT_GT(documents.size(), 3u);
      EXPECT_EQ(std::set(documents.begin(), documents.end()).size(), documents.size());
      const auto holds = [&](const std::string& text) {
        return contains(text, sample.references.back());
      };
      EXPECT_EQ(std::count_if(documents.begin(), documents.end(), holds), 1);
      EXPECT_EQ(sample.answer_prefix, " Answer:");
      questions.insert(sample.prompt.substr(sample.prompt.rfind("Question: ")));
    }
    EXPECT_EQ(questions.size(), 15u);  // none comes twice before all have been asked
  }
  EXPECT_EQ(item("qa_2", 1000, 0).references.size(), 2u);
  EXPECT_EQ(item("qa_2", 1000, 0).score("P1"), 0);
}

TEST_F(LongTaskTest, DocumentsOfTheSameArticleComeFirstAndAllAgainWhenTheyEnd) {
  const GenerationItem sample = item("qa_1", 520, 0);
  const std::vector<std::string> few = documents_of(sample.prompt);
  EXPECT_EQ(few.size(), 3u);
  for (const std::string& document : few) EXPECT_EQ(document.substr(0, 12), few[0].substr(0, 12));
  const std::vector<std::string> many = documents_of(item("qa_1", 4000, 0).prompt);
  EXPECT_EQ(std::set(many.begin(), many.end()).size(), 15u);
  EXPECT_GT(many.size(), 30u);
}

TEST_F(LongTaskTest, TheOfficialQuestionsAreTakenWhereTheyAre) {
  Json data = parse_json(squad_text(), "t");
  data["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = true;
  Json& question = data["data"][0]["paragraphs"][1]["qas"][0];
  question["answers"] = {{{"text", "Official"}}};
  data["data"].erase(data["data"].begin() + 1, data["data"].end());
  data["data"][0]["paragraphs"].erase(2);
  put("qa/squad.json", dump_json(data));
  EXPECT_EQ(item("qa_1", 1000, 0).references, std::vector<std::string>{"Official"});
  put("qa/hotpotqa.json",
      R"([{"question": "Which?", "answer": "yes", "context": [["T", ["One. ", "Two."]], ["U", ["V."]]]}])");
  const GenerationItem hotpot = item("qa_2", 600, 0);
  EXPECT_EQ(hotpot.references, std::vector<std::string>{"yes"});
  EXPECT_TRUE(contains(hotpot.prompt, ":\nT\nOne. Two."));
  EXPECT_TRUE(contains(hotpot.prompt, ":\nU\nV."));
}

TEST_F(LongTaskTest, MalformedQuestionsAreNamedWithTheirPlace) {
  const LongTasks all = tasks(tokenizer_);
  put("qa/xquad.en.json",
      R"({"data": [{"paragraphs": [{"context": "c", "qas": [{"question": "q", "answers": [{"text": 3}]}]}]}]})");
  EXPECT_ERROR(all.make("qa_1"),
               "xquad.en.json: field data[0].paragraphs[0].qas[0].answers[0].text: expected");
  put("qa/xquad.en.json", R"({"data": []})");
  EXPECT_ERROR(all.make("qa_1"), "xquad.en.json: expected questions, found none.");
  put("qa/nq_open_oracle.jsonl",
      oracle_text() + R"({"question": "q", "answers": [""], "title": "t", "text": "x"})");
  EXPECT_ERROR(all.make("qa_2"),
               "nq_open_oracle.jsonl:31: field answers: expected at least one answer");
  put("qa/hotpotqa.json", R"([{"question": "q", "answer": "a", "context": [["T"]]}])");
  EXPECT_ERROR(all.make("qa_2"), "hotpotqa.json: field [0].context: expected pairs of a title");
}

}  // namespace
}  // namespace longgen
