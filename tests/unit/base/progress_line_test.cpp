#include "longgen/base/progress_line.h"

#include <gtest/gtest.h>

#include "longgen/base/units.h"

namespace longgen {
namespace {

ProgressState training() {
  return {.label = "extend",
          .unit = "tokens",
          .done = 1'230'000,
          .total = 2'950'000,
          .rate = 3105,
          .seconds = 554,
          .note = "step 300/720, loss 2.3456, 812 MiB"};
}

TEST(ProgressLineTest, PartsGoTheLeastImportantFirst) {
  const ProgressState state = training();
  const auto at = [&](int64_t columns) { return progress_line(state, columns); };
  EXPECT_EQ(at(200),
            "extend [########............]  42% 1.23M/2.95M tokens 3.10K tokens/s ETA 9m14s  "
            "step 300/720, loss 2.3456, 812 MiB");
  EXPECT_EQ(at(79), "extend  42% 1.23M/2.95M tokens ETA 9m14s  step 300/720, loss 2.3456, 812 MiB");
  EXPECT_EQ(at(66), "extend  42% ETA 9m14s  step 300/720, loss 2.3456, 812 MiB");
  EXPECT_EQ(at(50), "extend  42% ETA 9m14s  step 300/720, loss 2.3456");
  EXPECT_EQ(at(39), "extend  42% ETA 9m14s  step 300/720");
  EXPECT_EQ(at(30), "extend  42% ETA 9m14s");
  EXPECT_EQ(at(12), "extend  42%");
  EXPECT_EQ(at(8), "extend  ");
}

TEST(ProgressLineTest, NoWidthIsEverExceeded) {
  ProgressState state = training();
  for (const char* label : {"x", "a rather long name of a model's directory", "模型目录", ""}) {
    state.label = label;
    for (int64_t columns = 1; columns < 160; ++columns) {
      EXPECT_LE(count_columns(progress_line(state, columns)), columns);
    }
  }
}

TEST(ProgressLineTest, BytesReadAsEverywhere) {
  const ProgressState state = {.label = "import",
                               .unit = "B",
                               .done = 134'217'728,
                               .total = 538'000'000,
                               .rate = 95e6,
                               .seconds = 4.25};
  EXPECT_EQ(progress_line(state, 79),
            "import [####................]  25% 128 MiB/513 MiB 90.6 MiB/s ETA 4.2s");
  EXPECT_EQ(progress_line(state, 59), "import  25% 128 MiB/513 MiB 90.6 MiB/s ETA 4.2s");
  EXPECT_EQ(progress_line(state, 39), "import  25% 128 MiB/513 MiB ETA 4.2s");
}

TEST(ProgressLineTest, WhatIsNotKnownYetIsLeftOut) {
  ProgressState state = {.label = "model", .unit = "samples", .total = 15, .seconds = -1};
  EXPECT_EQ(progress_line(state, 79), "model [....................]   0% 0/15 samples");
  state.done = 15;
  state.rate = 0.01;
  state.seconds = 1500;
  state.finished = true;
  EXPECT_EQ(progress_line(state, 79),
            "model [####################] 100% 15/15 samples 1m40s each took 25m00s");
}

// A label may be a file's name, and may write to no terminal.
TEST(ProgressLineTest, ControlCharactersBecomeQuestionMarks) {
  EXPECT_EQ(progress_line({.label = "a\033[2Jb\n", .unit = "B"}, 12), "a?[2Jb?   0%");
  EXPECT_EQ(count_columns("a\xC3\xA4\xE6\xA8\xA1"), 5);
}

TEST(ProgressLineTest, NothingIsCutWithinACharacter) {
  const ProgressState state = {.label = "\xE6\xA8\xA1\xE5\x9E\x8B", .unit = "B"};
  EXPECT_EQ(progress_line(state, 3), "\xE6\xA8\xA1");
  EXPECT_EQ(progress_line(state, 2), "\xE6\xA8\xA1");
  EXPECT_EQ(progress_line(state, 1), "");
}

TEST(UnitsTest, NounsFollowTheirCounts) {
  EXPECT_EQ(format_count(1, "file"), "1 file");
  EXPECT_EQ(format_count(0, "file"), "0 files");
  EXPECT_EQ(format_count(2345, "token"), "2,345 tokens");
}

}  // namespace
}  // namespace longgen
