#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "longgen/base/check.h"
#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("longgen_base_test." + std::to_string(::getpid()));
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  fs::path dir_;
};

template <typename Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(FilesTest, AtomicFileLeavesTheOldContentWithoutCommit) {
  write_file(dir_ / "a", "old");
  {
    AtomicFile file(dir_ / "a");
    file.write("new");
  }
  EXPECT_EQ(read_file(dir_ / "a"), "old");
  EXPECT_EQ(list_files(dir_).size(), 1u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1)
      << "the temporary file must be gone";
}

TEST_F(FilesTest, AFileLargerThanTheDiskAllowsIsAnErrorAndTheOldOneStays) {
  write_file(dir_ / "a", "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::string message = error_of([&] { write_file(dir_ / "a", std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(message.find("cannot be written: File too large"), std::string::npos) << message;
  EXPECT_EQ(read_file(dir_ / "a"), "old");
}

TEST_F(FilesTest, AtomicDirectoryAppearsWholeOrNotAtAll) {
  {
    AtomicDirectory out(dir_ / "model", false);
    write_file(out.path() / "x", "1");
  }
  EXPECT_FALSE(fs::exists(dir_ / "model"));
  {
    AtomicDirectory out(dir_ / "model", false);
    write_file(out.path() / "x", "1");
    out.commit();
  }
  EXPECT_EQ(read_file(dir_ / "model/x"), "1");
  EXPECT_NE(error_of([&] { AtomicDirectory(dir_ / "model/", false); }).find("exists already"),
            std::string::npos);
  {
    AtomicDirectory out(dir_ / "model", true);
    write_file(out.path() / "x", "2");
    out.commit();
  }
  EXPECT_EQ(read_file(dir_ / "model/x"), "2");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1);
}

TEST_F(FilesTest, NamesThatClimbOutAreRefused) {
  EXPECT_EQ(join_inside(dir_, "sub/a.bin"), dir_ / "sub/a.bin");
  for (const std::string& name :
       {std::string("../a"), std::string("/etc/passwd"), std::string("sub/../../a"), std::string(),
        std::string("a\0b", 3)}) {
    EXPECT_NE(error_of([&] { join_inside(dir_, name); }).find("leads out of the folder"),
              std::string::npos)
        << name;
  }
}

TEST_F(FilesTest, MissingFilesAndFoldersAreNamed) {
  EXPECT_NE(error_of([&] { read_file(dir_ / "none"); }).find("No such file"), std::string::npos);
  EXPECT_NE(error_of([&] { MappedFile file(dir_); }).find("found a folder"), std::string::npos);
  write_file(dir_ / "empty", "");
  EXPECT_TRUE(MappedFile(dir_ / "empty").bytes().empty());
}

TEST(JsonTest, ErrorsNameSourceFieldExpectedAndFound) {
  const Json value = parse_json(R"({"a": {"b": "x", "n": 18446744073709551615}})", "t.json");
  const JsonObject object(value, "t.json");
  EXPECT_EQ(error_of([&] { object.object("a").integer("b", 1, 9); }),
            "t.json: field a.b: expected an integer from 1 to 9, found \"x\".");
  EXPECT_NE(error_of([&] { object.object("a").integer("n", 1, 9); }), "");
  EXPECT_EQ(error_of([&] { object.string("none"); }), "t.json: field none is missing.");
}

TEST(JsonTest, DeepNestingAndDuplicateKeysAreErrors) {
  EXPECT_NE(
      error_of([] { parse_json(std::string(100000, '['), "deep.json"); }).find("nested deeper"),
      std::string::npos);
  EXPECT_NE(error_of([] { parse_json(R"({"a":1,"a":2})", "two.json"); }).find("stands twice"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_json("{\"a\":", "cut.json"); }).find("not valid JSON"),
            std::string::npos);
}

TEST(UnitsTest, NumbersReadWell) {
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(int64_t{141} << 30), "141 GiB");
  EXPECT_EQ(format_count(131072), "131,072");
  EXPECT_EQ(format_count(-1000), "-1,000");
  EXPECT_EQ(format_si(134515008), "135M");
  EXPECT_EQ(format_duration(3723), "1h02m03s");
  EXPECT_EQ(parse_count("16K", "--context"), 16384);
  for (const char* bad : {"", "16X", "-1", "99999999999G", "1.5K", "16KB"}) {
    EXPECT_THROW(parse_count(bad, "--context"), Error) << bad;
  }
}

}  // namespace
}  // namespace longgen
