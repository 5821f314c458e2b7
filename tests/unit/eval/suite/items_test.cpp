// Items and their results: lines, the log of a run, scores, differences.
#include <gtest/gtest.h>

#include <fstream>

#include "longgen/eval/suite/item_log.h"
#include "longgen/eval/suite/suite_page.h"
#include "longgen/eval/suite/suite_report.h"
#include "longgen/eval/suite/task.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

ChoiceItem item_of(const std::vector<std::string>& texts, int64_t gold) {
  ChoiceItem item{.id = "7", .choices = {}, .gold = gold};
  for (const std::string& text : texts) item.choices.push_back({"context", text});
  return item;
}

TEST(ChoiceResultTest, TheMostProbableAndTheMostProbableACharacter) {
  // Two characters of two bytes each, as lm-eval counts: -3 / 2 is less than -4 / 4.
  const ItemResult result =
      choice_result(item_of({" \u00e9\u00e9", " four"}, 1), {{-3, false}, {-4, true}}, false);
  EXPECT_EQ(*result.score("acc"), 0);
  EXPECT_EQ(*result.score("acc_norm"), 1);
  EXPECT_EQ(result.details.dump(),
            R"({"gold":1,"loglikelihoods":[-3.0,-4.0],"greedy":[false,true]})");
  // Of equal ones the first.
  const ItemResult tie = choice_result(item_of({" a", " b"}, 0), {{-1, false}, {-1, false}}, false);
  EXPECT_EQ(*tie.score("acc"), 1);
  const ItemResult alone = choice_result(item_of({" a"}, 0), {{-1.5, true}}, false);
  EXPECT_EQ(*alone.score("acc"), 1);
  EXPECT_EQ(*alone.score("nll"), 1.5);
  EXPECT_EQ(alone.score("acc_norm"), nullptr);
}

class ItemLogTest : public FolderTest {
 protected:
  ItemResult result(const std::string& id) const {
    ItemResult result{.id = id, .scores = {{"score", 0.25}}, .truncated = true};
    result.details = {{"reply", "it is \"so\"\n"}};
    return result;
  }
  const OrderedJson settings_ = {{"task", "t"}, {"seed", 3}};
};

TEST_F(ItemLogTest, ItemsAreReadBackAndATornLineIsDropped) {
  const fs::path file = dir_ / "t.jsonl";
  {
    ItemLog log(file, settings_);
    log.add(result("a"));
    log.add(result("b"));
  }
  std::ofstream(file, std::ios::app) << R"({"id":"c","scores":{"sc)";
  {
    ItemLog log(file, OrderedJson{{"seed", 3}, {"task", "t"}});
    EXPECT_EQ(log.size(), 2);
    EXPECT_EQ(log.find("c"), nullptr);
    ASSERT_NE(log.find("b"), nullptr);
    EXPECT_EQ(item_json(*log.find("b")).dump(), item_json(result("b")).dump());
    log.add(result("c"));
  }
  EXPECT_EQ(ItemLog(file, settings_).size(), 3);
  EXPECT_EQ(read_file(file), "{\"longgen_items\":1,\"settings\":{\"task\":\"t\",\"seed\":3}}\n" +
                                 item_json(result("a")).dump() + "\n" +
                                 item_json(result("b")).dump() + "\n" +
                                 item_json(result("c")).dump() + "\n");
}

TEST_F(ItemLogTest, OtherSettingsAndOtherFilesAreRefused) {
  const fs::path file = dir_ / "t.jsonl";
  ItemLog(file, settings_).add(result("a"));
  const auto open = [&](const OrderedJson& settings) {
    return error_of([&] { ItemLog(file, settings); });
  };
  EXPECT_EQ(open({{"task", "t"}, {"seed", 4}}),
            file.string() +
                ": its items were made with seed 3, and this run has 4. Use another "
                "--out, or remove the file.");
  EXPECT_TRUE(contains(open({{"task", "t"}}), "made with seed 3, which this run has not"));
  EXPECT_TRUE(contains(open({{"task", "t"}, {"seed", 3}, {"shots", 5}}),
                       "made with shots null, and this run has 5"));
  const fs::path other = put("notes.jsonl", "remember the milk");
  EXPECT_ERROR(ItemLog(other, settings_), "expected finished items of a suite");
  EXPECT_EQ(read_file(other), "remember the milk");
  EXPECT_ERROR(ItemLog(put("a.jsonl", "{\"a\": 1}\n"), settings_), "expected finished items");
  // A first line that a killed process left torn.
  EXPECT_EQ(ItemLog(put("torn.jsonl", "{\"longgen_it"), settings_).size(), 0);
}

TEST(SuiteReportTest, ValuesDifferencesAveragesAndWhatWasTruncated) {
  const auto items = [](const std::vector<int>& scores) {
    std::vector<std::optional<ItemResult>> all;
    for (const int score : scores) {
      all.emplace_back(ItemResult{.id = std::to_string(all.size()),
                                  .scores = {{"score", static_cast<double>(score)}}});
    }
    return all;
  };
  const auto task = [](const std::string& name, int64_t length) {
    return SuiteTask{.name = name,
                     .group = "ruler",
                     .length_tokens = length,
                     .num_items = 4,
                     .scores = {"score"}};
  };
  std::vector<TaskResults> results = {
      {task("niah", 4096), {items({1, 1, 1, 0}), items({1, 0, 0, 0})}},
      {task("vt", 4096), {items({1, 0, 0, 0}), items({1, 0, 0, 0})}},
      {task("niah", 8192), {items({1, 1, 1, 1}), items({1, 1, 1, 1})}}};
  results[0].models[1][3]->truncated = true;
  results[2].models[1][3].reset();  // not finished: the others are compared
  const auto table = suite_table(results, {"full", "hybrid"});
  ASSERT_EQ(table.size(), 5u);
  EXPECT_EQ(table[0], (std::vector<std::string>{"task", "score", "items", "full", "hybrid"}));
  EXPECT_EQ(table[1][0], "niah-4K");
  EXPECT_EQ(table[1][3], "75.0%");
  EXPECT_EQ(table[1][4].substr(0, 7), "-50.0 (");
  EXPECT_EQ(table[4][0], "ruler-4K");
  EXPECT_EQ(table[4][1], "average");
  EXPECT_EQ(table[4][3], "50.0%");
  EXPECT_EQ(table[4][4].substr(0, 7), "-25.0 (");
  EXPECT_EQ(suite_notes(results, {"full", "hybrid"}),
            "truncated to the context of hybrid: 1 item of niah-4K\n"
            "not finished by hybrid: 1 item of niah-8K\n");
  const OrderedJson json = suite_json(results, {"full", "hybrid"}, {});
  EXPECT_EQ(json["rows"][2]["models"][1]["items"], 3);
  EXPECT_EQ(json["rows"][2]["models"][1]["difference"]["items"], 3);
  EXPECT_EQ(json["tasks"][0]["truncated"].dump(), R"({"full":0,"hybrid":1})");
  EXPECT_EQ(json["averages"].size(), 1u);
  const ReportPage page = suite_page(results, {"full", "hybrid"});
  EXPECT_TRUE(contains(page.summary, "ruler-4K, average: full 50.0%, hybrid -25.0 points (95%"));
  const std::string html = html_page(page);
  EXPECT_TRUE(contains(html, "<p>truncated to the context of hybrid: 1 item of niah-4K</p>"));
  EXPECT_TRUE(contains(html, "<p>not finished by hybrid: 1 item of niah-8K</p>"));
}

TEST(SampledTest, SamplesDependOnSeedAndTaskAndFewerAreTheFirst) {
  SuiteTask task{.name = "a", .group = "g", .num_items = 100, .scores = {}};
  task.choice = [](int64_t number) {
    return ChoiceItem{.id = std::to_string(number), .choices = {}};
  };
  const auto ids = [&](const std::string& name, int64_t samples, uint64_t seed) {
    SuiteTask named = task;
    named.name = name;
    const SuiteTask some = sampled(named, samples, seed);
    std::vector<std::string> all;
    for (int64_t i = 0; i < some.num_items; ++i) all.push_back(some.choice(i).id);
    return all;
  };
  const auto twenty = ids("a", 20, 1);
  EXPECT_EQ(twenty.size(), 20u);
  EXPECT_EQ(std::vector<std::string>(twenty.begin(), twenty.begin() + 5), ids("a", 5, 1));
  EXPECT_NE(ids("a", 5, 1), ids("a", 5, 2));
  EXPECT_NE(ids("a", 5, 1), ids("b", 5, 1));
  EXPECT_EQ(ids("a", 0, 1)[3], "3");
  EXPECT_EQ(ids("a", 1000, 1).size(), 100u);
}

}  // namespace
}  // namespace longgen
