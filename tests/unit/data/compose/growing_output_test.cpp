#include "longgen/data/compose/growing_output.h"

#include "tests/unit/data/test_support.h"

namespace longgen {
namespace {

class GrowingOutputTest : public DataTest {
 protected:
  const OrderedJson settings_ = {{"seed", 3}, {"lengths", {1, 2}}};

  static void append_lines(GrowingOutput& output, int from, int to) {
    for (int i = from; i < to; ++i) {
      output.append(output.packed("{\"index\": " + std::to_string(i) + "}\n"));
    }
  }
};

TEST_F(GrowingOutputTest, GoesOnBehindTheLastWholeLine) {
  for (const char* name : {"a.jsonl", "a.jsonl.zst"}) {
    const fs::path target = dir_ / name, lines = dir_ / (std::string(name) + ".partial/lines");
    {
      GrowingOutput output(target, false);
      output.open(settings_, 10);
      EXPECT_EQ(output.num_lines(), 0);
      append_lines(output, 0, 4);
    }
    const std::string whole = read_file(lines);
    EXPECT_FALSE(fs::exists(target));
    for (const std::string& torn :
         {whole + whole.substr(0, 7), whole + std::string(100, '\0'), whole}) {
      write_file(lines, torn);
      GrowingOutput output(target, false);
      output.open(settings_, 10);
      EXPECT_EQ(output.num_lines(), 4);
      EXPECT_EQ(read_file(lines), whole);
    }
    GrowingOutput output(target, false);
    output.open(settings_, 3);
    EXPECT_EQ(output.num_lines(), 3);
    append_lines(output, 3, 5);
    output.commit();
    EXPECT_EQ(read_file(target).substr(0, whole.size()), whole);
    EXPECT_FALSE(fs::exists(output.folder()));
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"a.jsonl", "a.jsonl.zst"}));
  EXPECT_EQ(read_file(dir_ / "a.jsonl").size(), 5 * std::string("{\"index\": 0}\n").size());
}

TEST_F(GrowingOutputTest, LeavesNothingWhereNothingWasDone) {
  const fs::path target = dir_ / "a.jsonl";
  { GrowingOutput output(target, false); }
  {
    GrowingOutput output(target, false);
    output.open(settings_, 10);
  }
  EXPECT_EQ(names(), Texts{});
  put("a.jsonl.partial/.corpus.txt.tmp.1", "of a killed process");
  put("a.jsonl.partial/lines", "{}\n");
  { GrowingOutput output(target, false); }
  EXPECT_TRUE(fs::exists(dir_ / "a.jsonl.partial/lines"));
  EXPECT_FALSE(fs::exists(dir_ / "a.jsonl.partial/.corpus.txt.tmp.1"));
}

TEST_F(GrowingOutputTest, OtherSettingsAndAnotherProcessAreRefused) {
  const fs::path target = dir_ / "a.jsonl";
  {
    GrowingOutput output(target, false);
    output.open(settings_, 10);
    append_lines(output, 0, 2);
    EXPECT_NE(error_of([&] { GrowingOutput(target, false); }).find("is being written by another"),
              std::string::npos);
  }
  GrowingOutput output(target, false);
  EXPECT_EQ(
      error_of([&] {
        output.open({{"seed", 3}, {"lengths", {1, 4}}}, 10);
      }),
      (dir_ / "a.jsonl.partial/settings.json").string() +
          ": the documents there were composed with lengths [1,2], not [1,4]. Call it again as "
          "it was called then, or remove " +
          (dir_ / "a.jsonl.partial").string() + " to begin anew.");
}

TEST_F(GrowingOutputTest, AnExistingTargetStaysUntilTheEnd) {
  const fs::path target = put("a.jsonl", "old");
  EXPECT_EQ(
      error_of([&] { GrowingOutput(target, false); }),
      target.string() + ": exists already. Choose another name or pass --force to replace it.");
  GrowingOutput output(target, true);
  output.open(settings_, 10);
  append_lines(output, 0, 1);
  EXPECT_EQ(read_file(target), "old");
  output.commit();
  EXPECT_EQ(read_file(target), "{\"index\": 0}\n");
}

}  // namespace
}  // namespace longgen
