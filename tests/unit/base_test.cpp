#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "longgen/base/check.h"
#include "longgen/base/cpu_features.h"
#include "longgen/base/files.h"
#include "longgen/base/host.h"
#include "longgen/base/json.h"
#include "longgen/base/nearest_name.h"
#include "longgen/base/units.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

using FilesTest = FolderTest;

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
  EXPECT_EQ(message,
            (dir_ / "a").string() +
                ": cannot be written: File too large after 1000 B. What stood there before "
                "is unchanged.");
  EXPECT_EQ(read_file(dir_ / "a"), "old");
}

TEST_F(FilesTest, ADiskThatIsFullIsToldWithWhatIsFree) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  fs::create_symlink("/dev/full", dir_ / (".a.tmp." + std::to_string(::getpid())));
  const std::string message = error_of([&] { write_file(dir_ / "a", "text"); });
  const std::string start =
      (dir_ / "a").string() + ": cannot be written: No space left on device after 0 B (";
  EXPECT_TRUE(message.starts_with(start)) << message;
  EXPECT_TRUE(message.ends_with(" are free there). What stood there before is unchanged."))
      << message;
  EXPECT_FALSE(fs::exists(dir_ / "a"));
}

TEST_F(FilesTest, CopiesAreWholeAndReplace) {
  const std::string bytes(40 << 20, 'x');  // several parts
  write_file(dir_ / "a", bytes);
  write_file(dir_ / "b", "old");
  copy_regular_file(dir_ / "a", dir_ / "b");
  EXPECT_TRUE(read_file(dir_ / "b") == bytes);
  write_file(dir_ / "empty", "");
  copy_regular_file(dir_ / "empty", dir_ / "b");
  EXPECT_EQ(read_file(dir_ / "b"), "");
  EXPECT_NE(error_of([&] { copy_regular_file(dir_ / "none", dir_ / "b"); }).find("none: cannot be"),
            std::string::npos);
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

/// A process that has begun to write a folder and never ends by itself.
class Writer {
 public:
  explicit Writer(const fs::path& target) {
    int ends[2];
    if (::pipe(ends) != 0) throw Error("no pipe");
    process_ = ::fork();
    if (process_ == 0) {
      AtomicDirectory out(target, true);
      write_file(out.path() / "x", "half");
      if (::write(ends[1], "!", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char begun = 0;
    EXPECT_EQ(::read(ends[0], &begun, 1), 1) << "the writer ended";
    ::close(ends[0]);
    folder = target.parent_path() /
             ("." + target.filename().string() + ".tmp." + std::to_string(process_));
  }
  ~Writer() { kill(); }
  void kill() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }
  fs::path folder;

 private:
  pid_t process_;
};

TEST_F(FilesTest, TheNextWriterRemovesWhatAKilledOneLeft) {
  Writer killed(dir_ / "model"), living(dir_ / "model"), of_another(dir_ / "model2");
  killed.kill();
  of_another.kill();
  EXPECT_TRUE(fs::exists(killed.folder));
  {
    AtomicDirectory out(dir_ / "model", false);
    EXPECT_FALSE(fs::exists(killed.folder));
    out.commit();
  }
  EXPECT_EQ(read_file(living.folder / "x"), "half");
  EXPECT_TRUE(fs::exists(of_another.folder));
  living.kill();
  AtomicDirectory(dir_ / "model", true);
  EXPECT_FALSE(fs::exists(living.folder));
}

TEST_F(FilesTest, TwoWritersOfOneNameAtATimeAreAnError) {
  AtomicDirectory out(dir_ / "model", false);
  write_file(out.path() / "x", "1");
  EXPECT_NE(error_of([&] {
              AtomicDirectory(dir_ / "model", false);
            }).find("model: is being written by another process, in "),
            std::string::npos);
  out.commit();
  EXPECT_EQ(read_file(dir_ / "model/x"), "1");
}

TEST_F(FilesTest, OnlyNamesOfTemporaryFoldersOfTheTargetAreRemoved) {
  const std::vector<std::string> others = {
      "model.tmp.12",      ".model.tmp.",          ".model.tmp.12x",   ".model.tmp.-12",
      ".model.tmp.12.new", ".model.tmp.12.old2",   ".model.tmp.old",   ".model2.tmp.12",
      ".xmodel.tmp.12",    ".model.tmp.12.tmp.13", ".model.tmp12",     ".model.tmp.12345678901",
      ".Model.tmp.12",     ".model.tmp.1 2",       ".model.old.tmp.12"};
  for (const std::string& name : others) fs::create_directories(dir_ / name / "sub");
  write_file(dir_ / ".model.tmp.14", "a file");
  fs::create_directories(dir_ / "kept/sub");
  fs::create_directory_symlink("kept", dir_ / ".model.tmp.15");
  fs::create_directories(dir_ / "model");
  for (const char* leftover : {".model.tmp.12", ".model.tmp.13.old"}) {
    fs::create_directories(dir_ / leftover / "sub");
  }
  AtomicDirectory(dir_ / "model", true);
  EXPECT_FALSE(fs::exists(dir_ / ".model.tmp.12"));
  EXPECT_FALSE(fs::exists(dir_ / ".model.tmp.13.old"));
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(dir_ / name / "sub")) << name;
  EXPECT_TRUE(fs::exists(dir_ / ".model.tmp.14"));
  EXPECT_TRUE(fs::exists(dir_ / "kept/sub"));
}

TEST_F(FilesTest, AProcessKilledBetweenItsTwoRenamesLosesNothing) {
  const fs::path made = dir_ / ".model.tmp.12", aside = dir_ / ".model.tmp.12.old";
  fs::create_directories(made);
  fs::create_directories(aside);
  {
    AtomicDirectory out(dir_ / "model", false);
    EXPECT_TRUE(fs::exists(made) && fs::exists(aside)) << "no other place has what they hold";
    out.commit();
  }
  AtomicDirectory(dir_ / "model", true);
  EXPECT_FALSE(fs::exists(made) || fs::exists(aside));
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

TEST(JsonTest, SyntaxErrorsAreToldInPlainWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"text\": \"a}",
       "at column 13: the text ends in the middle: a string has no closing quote "
       "(\")."},
      {"{\"text: \"a\"}",
       "at column 10: expected ':' after a field's name; the name's closing quote "
       "may be missing."},
      {"{text: 1}", "at column 3: expected a field's name in double quotes."},
      {"{\"a\": 1,\n \"b\": x}",
       "at line 2, column 7: expected a value: a text in double quotes, a "
       "number, true, false, null, an object or a list."},
      {"{\"a\": 1 \"b\": 2}",
       "at column 11: expected ',' or '}' after a field's value; a quote (\") "
       "may be missing."},
      {"{\"a\": 1} x", "at column 10: expected nothing after a complete JSON value."},
      {"[1 2]", "at column 4: expected ',' or ']' after an item."},
      {"{\"a\": 1",
       "at column 8: the text ends in the middle: expected ',' or '}' after a field's "
       "value; a quote (\") may be missing."},
      {"\"\xff\"", "at column 2: a byte that is not UTF-8."},
      {"\"\\q\"",
       "at column 3: a backslash in a string that begins no escape; a backslash itself is "
       "written \\\\."},
      {"1e999", "a number that is larger than any 64-bit floating-point number: 1e999."},
      // What the text says is not taken for what the parser says.
      {"{\"number overflow parsing '\xff", "at column 28: a byte that is not UTF-8."},
      {"{surrogate", "at column 2: expected a field's name in double quotes."},
  };
  for (const auto& [text, reason] : cases) {
    const std::string message = error_of([text = text] { parse_json(text, "x.json"); });
    const std::string expected = std::string("x.json: not valid JSON") +
                                 (reason[0] == 'a' && reason[1] == 't' ? " " : ": ") + reason;
    EXPECT_EQ(message, expected) << text;
  }
}

TEST(NearestNameTest, SuggestsWhatIsNearAndNothingElse) {
  const std::vector<std::string> names = {"eval", "extend", "llama3-8b", "llama2-7b", "cpu"};
  EXPECT_EQ(nearest_name("evla", names), "eval");
  EXPECT_EQ(nearest_name("EVAL", names), "eval");
  EXPECT_EQ(nearest_name("extned", names), "extend");
  EXPECT_EQ(nearest_name("llama-3-8b", names), "llama3-8b");
  EXPECT_EQ(nearest_name("gpt", {"cpu"}), std::nullopt) << "another word";
  EXPECT_EQ(nearest_name("xyz", {"abc"}), std::nullopt) << "every letter differs";
  EXPECT_EQ(nearest_name("", names), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(1'000'000, 'x'), names), std::nullopt);
  EXPECT_EQ(did_you_mean("evla", names), " Did you mean \"eval\"?");
  EXPECT_EQ(did_you_mean("train", {"bench"}), "");
  EXPECT_EQ(listed_names({"a"}), "a");
  EXPECT_EQ(listed_names({"a", "b", "c"}), "a, b or c");
}

TEST(HostTest, ReadsWhatTheSystemSays) {
  const std::string memory =
      "MemTotal:       24032888 kB\nMemFree:  1 kB\nMemAvailable:   512 kB\n";
  EXPECT_EQ(meminfo_bytes(memory, "MemTotal:"), int64_t{24032888} * 1024);
  EXPECT_EQ(meminfo_bytes(memory, "MemAvailable:"), 512 * 1024);
  EXPECT_EQ(meminfo_bytes(memory, "SwapTotal:"), 0);
  EXPECT_EQ(driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n"
                           "GCC version:  gcc version 12.2.0\n"),
            "550.54.15");
  EXPECT_EQ(driver_version(""), "");
  const MachineMemory host = machine_memory();
  EXPECT_GT(host.total_bytes, int64_t{100} << 20);
  EXPECT_GT(host.available_bytes, 0);
  EXPECT_LE(host.available_bytes, host.total_bytes);
  EXPECT_FALSE(processor_name().empty());
}

TEST(CpuFeaturesTest, Bfloat16IsFasterByWhatTheSystemLists) {
  std::ifstream file("/proc/cpuinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto has = [&text](const char* word) { return text.find(word) != text.npos; };
  const bool listed = has(" amx_bf16") || (has("AuthenticAMD") && has(" avx512_bf16"));
  EXPECT_EQ(multiplies_bfloat16(), listed && machine_runs(InstructionSet::avx512));
  EXPECT_EQ(bfloat16_is_faster(), has(" avx2") && has(" fma"));
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
