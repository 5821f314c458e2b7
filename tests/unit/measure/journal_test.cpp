#include "longgen/measure/journal.h"

#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tests/unit/measure/test_support.h"

namespace longgen {
namespace {

class Journal : public FolderTest {
 protected:
  MeasureJournal open(int64_t length = 8192, bool restart = false) {
    return {dir_ / "journal.jsonl",
            {{"length", length}, {"seed", 0}, {"sparse", "sink=1,window=16,stride=0"}},
            {.num_ranges = 2, .num_units = 5},
            restart};
  }
  std::string text() { return read_file(dir_ / "journal.jsonl"); }
};

TEST_F(Journal, GivesBackWhatWasAdded) {
  const VariantValues values = values_with_means(3.25, 0.1, -0.7);
  open().add(1, {2, 5}, values);
  open().add(0, {}, values_with_means(1, 0, 0));
  const MeasureJournal journal = open();
  ASSERT_NE(journal.find(1, {2, 5}), nullptr);
  EXPECT_EQ(*journal.find(1, {2, 5}), values);
  EXPECT_EQ(*journal.find(0, {}), values_with_means(1, 0, 0));
  EXPECT_EQ(journal.find(0, {2, 5}), nullptr);
  EXPECT_EQ(journal.num_variants(), 2);
}

TEST_F(Journal, KeepsPassesThroughGatesBesideVariants) {
  const GateSlopes slopes = {.kl = {1, 2, 3, 4, 0.1}, .answers = {-1, 0, 1e-7, 2, 3}};
  {
    MeasureJournal journal = open();
    journal.add(1, {2}, values_with_means(3, 0, -1));
    journal.add_gates(1, slopes);
    ASSERT_NE(journal.find_gates(1), nullptr);
  }
  const MeasureJournal journal = open();
  ASSERT_NE(journal.find_gates(1), nullptr);
  EXPECT_EQ(*journal.find_gates(1), slopes);
  EXPECT_EQ(journal.find_gates(0), nullptr);
  EXPECT_EQ(journal.num_gate_passes(), 1);
  EXPECT_EQ(journal.num_variants(), 1);
}

TEST_F(Journal, DropsATornLine) {
  open().add(0, {1}, values_with_means(3, 0, -1));
  const std::string whole = text();
  open().add(0, {2}, values_with_means(4, 0, -1));
  const std::string more = text();
  for (size_t size = whole.size(); size < more.size(); size += 1 + size % 50) {
    put("journal.jsonl", more.substr(0, size));
    MeasureJournal journal = open();
    EXPECT_EQ(journal.num_variants(), 1);
    EXPECT_EQ(text(), whole);
  }
  put("journal.jsonl", whole.substr(0, 9));  // torn in its first line
  EXPECT_EQ(open().num_variants(), 0);
}

TEST_F(Journal, OfOtherSettingsIsRefused) {
  open().add(0, {1}, values_with_means(3, 0, -1));
  EXPECT_ERROR(open(4096),
               "journal.jsonl: holds a measurement with length 8192, and this one has 4096. Give "
               "another --out, or --restart to measure anew.");
  EXPECT_EQ(open(8192).num_variants(), 1);
  EXPECT_EQ(open(4096, true).num_variants(), 0);
  EXPECT_EQ(open(4096).num_variants(), 0);
}

TEST_F(Journal, DamageIsRefused) {
  open().add(0, {1}, values_with_means(3, 0, -1));
  const std::string good = text();
  const auto error = [&](const std::string& bytes) {
    put("journal.jsonl", bytes);
    return error_of([&] { open(); });
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    return error(bytes.replace(bytes.find(from), from.size(), to));
  };
  EXPECT_TRUE(contains(error("{}\n"), "line 1: expected the journal of a measurement"));
  EXPECT_TRUE(contains(error("hello\n"), "line 1: not valid JSON"));
  EXPECT_TRUE(contains(error(good + "[]\n"), "line 3: expected an object"));
  EXPECT_TRUE(contains(changed("\"full\":[1]", "\"full\":[1,1]"), "line 2: field full: expected"));
  EXPECT_TRUE(contains(changed("\"sample\":0", "\"sample\":-1"), "line 2: field sample"));
  EXPECT_TRUE(contains(changed("\"right\":", "\"left\":"), "field values.right is missing"));
  EXPECT_TRUE(
      contains(changed("\"far_text\":[", "\"far_text\":[{\"tokens\":1,\"nll\":1,\"kl\":0},"),
               "line 2: field values.far_text: expected 2 ranges of positions, found 3."));
  EXPECT_TRUE(contains(error(good + "{\"sample\":0,\"gates\":{\"at\":0.5,\"kl\":[1,2]}}\n"),
                       "line 3: field gates.kl: expected a list of 5 numbers."));
  EXPECT_TRUE(contains(error(good + "{\"sample\":0,\"gates\":{\"at\":1}}\n"),
                       "line 3: field gates.at: expected"));
  EXPECT_TRUE(contains(changed("\"version\":1", "\"version\":2"), "line 1: field version"));
}

}  // namespace
}  // namespace longgen
