#include "tests/unit/eval/tasks/long_task_test.h"

namespace longgen {
namespace {

/// The most tokens that a sample may stay below its length: the largest piece of a task.
int64_t largest_piece(const std::string& task) {
  if (task.starts_with("babilong")) return 200;  // a sentence, and two or three left out
  if (task.starts_with("niah") || task == "vt") return 150;
  return task == "cwe" || task == "fwe" ? 60 : 120;
}

int64_t used_tokens(const Tokenizer& tokenizer, bool chat, const GenerationItem& item) {
  const PromptFitter fitter(tokenizer, chat ? PromptWrap(wrap_in_chat) : PromptWrap());
  const WrappedPrompt prompt = fitter.wrapped({item.prompt, item.answer_prefix}, "test");
  return static_cast<int64_t>(fitter.encode(prompt).size()) + item.new_tokens;
}

TEST_F(LongTaskTest, LengthsAreNeverExceededAndNearlyUsed) {
  const Tokenizer pieces = make_tokenizer(sentencepiece_json());
  for (const Tokenizer* tokenizer : std::vector<const Tokenizer*>{&tokenizer_, &pieces}) {
    for (const bool chat : {false, true}) {
      if (chat && tokenizer == &pieces) continue;  // the chat format is of the other
      const LongTasks all = tasks(*tokenizer, chat);
      for (const std::string& name : all_task_names()) {
        const std::unique_ptr<LongTask> task = all.make(name);
        for (const int64_t length : {3000, 4095, 6500, 9001, 20000}) {
          SCOPED_TRACE(::testing::Message() << name << " " << length << " chat " << chat);
          const GenerationItem item = task->item(length, 2);
          const int64_t used = used_tokens(*tokenizer, chat, item);
          EXPECT_LE(used, length);
          EXPECT_GE(used, length - largest_piece(name));
          EXPECT_EQ(item.id, std::to_string(length) + "/2");
        }
      }
    }
  }
}

TEST_F(LongTaskTest, ASampleDependsOnSeedLengthAndIndexAlone) {
  const LongTasks fresh = tasks(tokenizer_), used = tasks(tokenizer_),
                  seeded = tasks(tokenizer_, false, 43);
  for (const std::string& name : all_task_names()) {
    SCOPED_TRACE(name);
    const std::unique_ptr<LongTask> task = used.make(name);
    for (const int64_t length : {8000, 6500}) task->item(length, 0);
    const GenerationItem a = task->item(7000, 3), b = fresh.make(name)->item(7000, 3);
    EXPECT_EQ(a.prompt, b.prompt);
    EXPECT_EQ(a.references, b.references);
    EXPECT_NE(a.prompt, task->item(7000, 4).prompt);
    EXPECT_NE(a.prompt, seeded.make(name)->item(7000, 3).prompt);
    EXPECT_EQ(task->name(), name);
  }
}

TEST_F(LongTaskTest, TheReferencesScoreOneAndOtherRepliesZero) {
  const LongTasks all = tasks(tokenizer_);
  const std::map<std::string, int64_t> new_tokens = {
      {"vt", 30}, {"cwe", 120}, {"fwe", 50}, {"qa_1", 32}, {"qa_2", 32}};
  for (const std::string& name : all_task_names()) {
    SCOPED_TRACE(name);
    const GenerationItem item = all.make(name)->item(6500, 1);
    std::string reply;
    for (const std::string& reference : item.references) reply += " " + reference;
    EXPECT_EQ(item.score(reply), 1);
    EXPECT_EQ(item.score("5"), 0);
    EXPECT_EQ(item.score(""), 0);
    const auto known = new_tokens.find(name);
    const int64_t other = name.starts_with("niah") ? 128 : 20;
    EXPECT_EQ(item.new_tokens, known == new_tokens.end() ? other : known->second);
  }
}

TEST_F(LongTaskTest, SamplesAreTheSameOnEveryMachine) {
  // A change of this line changes every published figure: it needs a reason.
  std::string all;
  for (const std::string& name : all_task_names()) {
    const GenerationItem sample = item(name, 6500, 0);
    all += sample.prompt + sample.answer_prefix;
    for (const std::string& reference : sample.references) all += reference;
  }
  EXPECT_EQ(hash_hex(all), "b56623396a85e4c4");
}

TEST_F(LongTaskTest, ThereAreThirteenTasksAndTen) {
  EXPECT_EQ(LongTasks::ruler_names().size(), 13u);
  EXPECT_EQ(LongTasks::babilong_names().size(), 10u);
  EXPECT_EQ(LongTasks::babilong_names()[9], "babilong_qa10");
  EXPECT_ERROR(tasks(tokenizer_).make("niah_multikey1"), "Did you mean \"niah_multikey_1\"?");
}

TEST_F(LongTaskTest, RefusesImpossibleArguments) {
  for (const std::string& name : all_task_names()) {
    SCOPED_TRACE(name);
    EXPECT_ERROR(item(name, 150, 0), "[" + name + "] length: expected at least ");
    EXPECT_ERROR(item(name, -1, 0), "[" + name + "] length: expected 1 to 67108864 tokens");
    EXPECT_ERROR(item(name, 5000, -1), "[" + name + "] sample index: expected at least 0");
  }
  EXPECT_ERROR(item("cwe", 0, 0), "[cwe] length: expected 1 to 67108864 tokens, found 0.");
}

TEST_F(LongTaskTest, TheShortestLengthThatTheErrorNamesWorks) {
  for (const std::string name : {"vt", "cwe", "qa_2", "babilong_qa1"}) {
    SCOPED_TRACE(name);
    int64_t shortest = 100;
    bool made = false;
    for (int round = 0; round < 40 && !made; ++round) {  // what is drawn differs by length
      const std::string text = error_of([&] { item(name, shortest, 0); });
      made = text.empty();
      if (made) break;
      const auto named = static_cast<int64_t>(std::stol(text.substr(text.find("least ") + 6)));
      shortest = std::max(shortest + 1, named);
    }
    EXPECT_TRUE(made) << shortest;
  }
}

TEST_F(LongTaskTest, AMissingFileIsNamedWithWhatItHolds) {
  for (const char* gone : {"words/nounlist.txt", "words/words_alpha.txt", "qa/xquad.en.json",
                           "qa/nq_open_oracle.jsonl", "babi", "text"}) {
    fs::remove_all(dir_ / gone);
  }
  const LongTasks all = tasks(tokenizer_);
  const std::string folder = dir_.string();
  EXPECT_ERROR(all.make("niah_single_1"),
               folder +
                   "/words/nounlist.txt: expected a list of words, one a line, found no such "
                   "file. docs/long_tasks.md says how to get it.");
  EXPECT_ERROR(all.make("cwe"), "/words/nounlist.txt: expected a list of words");
  EXPECT_ERROR(all.make("qa_1"), folder +
                                     "/qa/xquad.en.json: expected questions in SQuAD's form, "
                                     "here or in qa/squad.json, found no such file.");
  EXPECT_ERROR(all.make("qa_2"), folder +
                                     "/qa/nq_open_oracle.jsonl: expected JSON lines with "
                                     "question, answers, title and text");
  EXPECT_ERROR(all.make("babilong_qa3"), folder +
                                             "/babi/en-10k/qa3_*_test.txt: expected questions "
                                             "of the bAbI tasks (v1.2), here or in babi/en");
  put("words/nounlist.txt", "tree\n");
  EXPECT_ERROR(all.make("niah_single_2"), folder + ": expected texts to hide needles and facts in");
  EXPECT_ERROR(all.make("cwe"), "/words: expected at least 40 different words, found 25.");
  put("words/nounlist.txt", "\xFF\n");
  EXPECT_ERROR(all.make("cwe"), "/words/nounlist.txt:1: expected text in UTF-8");
}

TEST_F(LongTaskTest, TextsOfTheCallerReplaceThoseOfTheFolder) {
  const fs::path mine = put("mine.txt", "Only this stands here. ");
  LongTaskOptions options = {.folder = dir_, .texts = {mine}};
  const LongTasks all(tokenizer_, options);
  EXPECT_EQ(all.texts(), std::vector<fs::path>{mine});
  EXPECT_TRUE(contains(all.make("niah_single_2")->item(2000, 0).prompt,
                       "Only this stands here. Only this stands here."));
  EXPECT_EQ(tasks(tokenizer_).texts(), std::vector<fs::path>{dir_ / "text"});
  fs::remove_all(dir_ / "text");
  put("wikitext2/test.txt", "An article.");
  EXPECT_EQ(tasks(tokenizer_).texts(), std::vector<fs::path>{dir_ / "wikitext2/test.txt"});
}

}  // namespace
}  // namespace longgen
