// tests/unit/eval/tasks/long_task_test.h: a small folder of items, made up, for the long tasks.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "longgen/eval/tasks/long_task.h"
#include "tests/unit/eval/test_support.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {

/// Puts a prompt into a chat format of 30 bytes.
inline WrappedPrompt wrap_in_chat(const std::string& prompt) {
  const size_t end = 12 + prompt.size();
  return {"<|end|>[ask]" + prompt + "<|end|>[reply]\n", {{0, 12}, {end, end + 15}}};
}

/// A text of sentences of 30 to 110 bytes, each of them different, and some of fewer than 10.
inline std::string book_text() {
  std::mt19937 random(11);
  const std::vector<std::string> words = {"river", "lantern", "old", "slowly", "the", "winter"};
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "Chapter " + std::to_string(i) + " tells of";
    for (unsigned word = 2 + random() % 12; word > 0; --word) text += " " + words[random() % 6];
    text += i % 7 == 0 ? ". Alas! " : ". ";
    if (i % 25 == 0) text += "\n\n";
  }
  return text;
}

/// Six stories of two questions each, with 2 and 4 facts before them.
inline std::string babi_text() {
  const std::vector<std::string> places = {"bathroom", "bedroom", "garden",
                                           "hallway",  "kitchen", "office"};
  std::string text;
  for (size_t i = 0; i < 6; ++i) {
    const std::string first = places[i], second = places[(i + 1) % 6], third = places[(i + 2) % 6];
    text += "1 Mary moved to the " + first + ".\n2 John went to the " + second + ".\n";
    text += "3 Where is Mary? \t" + first + "\t1\n";
    text += "4 Mary went to the " + third + ".\n5 John moved to the " + first + ".\n";
    text += "6 Where is John? \t" + first + "\t5\n";
  }
  return text;
}

inline std::string repeated_words(const std::string& stem, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += stem + static_cast<char>('a' + i / 26) + static_cast<char>('a' + i % 26) + "\n";
  }
  return text;
}

/// Five articles of three paragraphs, with a question each.
inline std::string squad_text() {
  Json data = Json::array();
  for (int article = 0; article < 5; ++article) {
    Json paragraphs = Json::array();
    for (int i = 0; i < 3; ++i) {
      const std::string name = "a" + std::to_string(article) + "p" + std::to_string(i);
      const Json answer = {{"text", "value-" + name}, {"answer_start", 0}};
      const Json qa = {{"question", "What is said of " + name + "?"},
                       {"answers", {answer, answer}}};
      paragraphs.push_back({{"context", "In article " + std::to_string(article) + " " + name +
                                            " is said to be value-" + name + "."},
                            {"qas", {qa}}});
    }
    data.push_back({{"title", "t"}, {"paragraphs", paragraphs}});
  }
  return dump_json(Json{{"data", data}});
}

inline std::string oracle_text() {
  std::string text;
  for (int i = 0; i < 30; ++i) {
    const std::string name = std::to_string(100 + i);
    text += dump_json(Json{{"question", "who was number " + name},
                           {"answers", {"Person " + name, "P" + name}},
                           {"title", "Title " + name},
                           {"text", "It is known that number " + name + " was P" + name + "."}}) +
            "\n";
  }
  return text;
}

/// A test with a folder that has all items, and a text.
class LongTaskTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    put("words/adjectivelist.txt", repeated_words("big", 20) + "old \nnice\n");
    put("words/nounlist.txt", repeated_words("cat", 30) + "TV\n\nice cream\n");
    put("words/verblist.txt", "go\nold\nrun\n");
    put("words/words_alpha.txt", "a\nab\nabc\n" + repeated_words("long", 600));
    put("qa/xquad.en.json", squad_text());
    put("qa/nq_open_oracle.jsonl", oracle_text());
    for (int i = 1; i <= 10; ++i) put_babi(i, i <= 4 ? babi_text() : other_babi(i));
    put("text/book.txt", book_text());
  }

  void put_babi(int number, const std::string& text) {
    put("babi/en-10k/qa" + std::to_string(number) + "_x_test.txt", text);
  }

  static std::string other_babi(int number) {
    const std::map<int, std::string> answers = {{5, "Bill"},           {6, "yes"}, {7, "none"},
                                                {8, "apple,football"}, {9, "no"},  {10, "maybe"}};
    return "1 Mary got the milk.\n2 Is it so?\t" + answers.at(number) + "\t1\n";
  }

  LongTasks tasks(const Tokenizer& tokenizer, bool chat = false, uint64_t seed = 42) const {
    LongTaskOptions options = {.folder = dir_, .seed = seed};
    if (chat) options.wrap = wrap_in_chat;
    return LongTasks(tokenizer, options);
  }

  GenerationItem item(const std::string& task, int64_t length, int64_t index) const {
    return tasks(tokenizer_).make(task)->item(length, index);
  }

  Tokenizer tokenizer_ = make_tokenizer(byte_level_json());
};

inline std::vector<std::string> all_task_names() {
  std::vector<std::string> names = LongTasks::ruler_names();
  const std::vector<std::string>& more = LongTasks::babilong_names();
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

inline std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != std::string::npos;) {
    parts.push_back(text.substr(at, end - at));
    at = end + separator.size();
  }
  parts.push_back(text.substr(at));
  return parts;
}

/// Returns what stands between the last `begin` and the `end` after it.
inline std::string between(const std::string& text, const std::string& begin,
                           const std::string& end) {
  const size_t at = text.rfind(begin) + begin.size();
  return text.substr(at, text.find(end, at) - at);
}

}  // namespace longgen
