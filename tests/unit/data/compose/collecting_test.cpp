#include <gtest/gtest.h>

#include <algorithm>

#include "longgen/data/compose/task.h"

namespace longgen {
namespace {

TaskText collect(int64_t budget_bytes, uint64_t key) {
  Scene scene;
  scene.budget_bytes = budget_bytes;
  Draw draw(key);
  return *make_collecting(scene, draw);
}

int64_t count_of(const std::vector<Passage>& passages, std::string_view value) {
  return std::ranges::count_if(
      passages, [&](const Passage& passage) { return passage.text.find(value) != value.npos; });
}

TEST(Collecting, WhatIsPutIntoTheTextKeepsToTheBudget) {
  for (const int64_t budget : {600, 3000, 12288}) {
    for (uint64_t key = 0; key < 200; ++key) {
      const TaskText task = collect(budget, key);
      int64_t bytes = std::ssize(task.questions.text);
      for (const Passage& passage : task.passages) bytes += std::ssize(passage.text);
      // What two values need at least is allowed where the budget is small.
      EXPECT_LT(bytes, std::max<int64_t>(budget * 11 / 10, 900)) << budget << " " << key;
    }
  }
}

// Answers are marked value by value or as lists; both are read back here by what divides lists.
TEST(Collecting, EachMarkedValueIsToldOnce) {
  for (uint64_t key = 0; key < 100; ++key) {
    const TaskText task = collect(12288, key);
    size_t end = 0;
    int64_t num_values = 0;
    for (const ByteRange& range : task.questions.answers) {
      EXPECT_LE(end, range.begin);
      end = range.end;
      const std::string answer = task.questions.text.substr(range.begin, range.end - range.begin);
      for (const std::string& name : task.new_words) {
        const size_t at = answer.find(name);
        if (at == answer.npos) continue;
        ++num_values;
        EXPECT_EQ(count_of(task.passages, name), 1) << name;
        EXPECT_TRUE(at == 0 || answer[at - 1] == ' ') << answer;
      }
    }
    EXPECT_GE(num_values, std::ssize(task.questions.answers)) << key;
    EXPECT_GE(num_values, 8) << "at least four questions with two answers each";
  }
}

TEST(Collecting, TheSameDrawsGiveTheSameTask) {
  EXPECT_EQ(collect(12288, 3).questions.text, collect(12288, 3).questions.text);
  EXPECT_NE(collect(12288, 3).questions.text, collect(12288, 4).questions.text);
}

}  // namespace
}  // namespace longgen
