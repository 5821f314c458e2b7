#include "longgen/train/log/metrics_log.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <limits>

#include "longgen/train/log/step_log.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

using MetricsLogTest = FolderTest;

TEST_F(MetricsLogTest, LinesKeepTheOrderOfTheirFieldsAndStandOnDiskAtOnce) {
  const fs::path path = dir_ / "metrics.jsonl";
  MetricsLog log(path, MetricsLog::kNewRun);
  log.write({{"step", 1}, {"loss", 2.5}, {"learning_rate", 4e-4}, {"memory_bytes", 1LL << 40}});
  EXPECT_EQ(read_file(path),
            "{\"step\":1,\"loss\":2.5,\"learning_rate\":0.0004,\"memory_bytes\":1099511627776}\n");
  log.write({{"step", 2}, {"eval_loss", 3.0}});
  EXPECT_TRUE(contains(read_file(path), "}\n{\"step\":2,\"eval_loss\":3.0}\n"));
}

TEST_F(MetricsLogTest, NumbersThatAreNotFiniteBecomeNull) {
  MetricsLog log(dir_ / "m", MetricsLog::kNewRun);
  const double infinity = std::numeric_limits<double>::infinity();
  log.write({{"step", 1}, {"loss", std::nan("")}, {"a", infinity}, {"b", -infinity}});
  EXPECT_EQ(read_file(dir_ / "m"), "{\"step\":1,\"loss\":null,\"a\":null,\"b\":null}\n");
}

TEST_F(MetricsLogTest, ANewRunReplacesAnOldLog) {
  const fs::path path = put("m", "{\"step\":0}\n{\"step\":1}\n");
  MetricsLog log(path, MetricsLog::kNewRun);
  EXPECT_EQ(read_file(path), "");
}

TEST_F(MetricsLogTest, AResumedRunDropsLaterStepsAndATornLine) {
  const std::string kept =
      "{\"step\":0,\"eval_loss\":9.5}\n{\"step\":1,\"loss\":1}\n{\"step\":2}\n";
  const fs::path path = put("m", kept + "{\"step\":3}\n{\"step\":4}\n{\"step\":2,\"lo");
  {
    MetricsLog log(path, 2);
    EXPECT_EQ(read_file(path), kept);
    log.write({{"step", 3}});
  }
  EXPECT_EQ(read_file(path), kept + "{\"step\":3}\n");
}

TEST_F(MetricsLogTest, ALineCutAtAnyByteIsDropped) {
  const std::string line = "{\"step\":7,\"loss\":1.25}\n";
  for (size_t cut = 0; cut < line.size(); ++cut) {
    const fs::path path = put("m", line + line.substr(0, cut));
    MetricsLog log(path, 7);
    EXPECT_EQ(read_file(path), line) << cut;
  }
}

TEST_F(MetricsLogTest, LinesThatAreNotOursAreDropped) {
  const std::string nul(100, '\0'), deep(100000, '[');
  const fs::path path =
      put("m", "{\"step\":1}\nnonsense\n" + nul +
                   "\n{\"loss\":2}\n{\"step\":1.5}\n{\"step\":-1}\n\n" + deep + "\n{\"step\":2}\n");
  ::testing::internal::CaptureStderr();
  MetricsLog log(path, 100);
  EXPECT_TRUE(contains(::testing::internal::GetCapturedStderr(), "dropped 7 lines"));
  EXPECT_EQ(read_file(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(MetricsLogTest, AResumedRunWithoutALogBeginsOne) {
  MetricsLog log(dir_ / "m", 50);
  log.write({{"step", 51}});
  EXPECT_EQ(read_file(dir_ / "m"), "{\"step\":51}\n");
}

TEST_F(MetricsLogTest, WithoutAStepOrAFolderItSaysSo) {
  MetricsLog log(dir_ / "m", MetricsLog::kNewRun);
  EXPECT_TRUE(contains(error_of([&] {
                         log.write({{"loss", 1.0}});
                       }),
                       "expected an object with an integer \"step\", found {\"loss\":1.0}."));
  EXPECT_TRUE(contains(error_of([&] { log.write(OrderedJson()); }), "found null"));
  EXPECT_EQ(read_file(dir_ / "m"), "");
  EXPECT_TRUE(contains(error_of([&] { MetricsLog(dir_ / "none" / "m", 3); }),
                       "cannot be written: No such file or directory."));
  EXPECT_NE(error_of([&] { MetricsLog(dir_, 3); }), "");
}

TEST_F(MetricsLogTest, StepsTellOfEverySource) {
  StepLog log(dir_ / "m", dir_ / "events", MetricsLog::kNewRun);
  log.write({.step = 2, .eval_loss = 1.5, .eval_losses = {{"books", 1.25}, {"recall", NAN}}});
  log.write({.step = 3});
  const std::string text = read_file(dir_ / "m");
  EXPECT_TRUE(
      contains(text, "\"eval_loss\":1.5,\"eval_losses\":{\"books\":1.25,\"recall\":null}}\n"));
  EXPECT_FALSE(contains(text.substr(text.find('\n')), "eval"));
  const std::string events = read_file(fs::directory_iterator(dir_ / "events")->path());
  for (const char* tag : {"eval/loss", "eval/loss/books", "eval/loss/recall"}) {
    EXPECT_TRUE(contains(events, tag)) << tag;
  }
}

TEST_F(MetricsLogTest, AFullDiskLeavesWholeLines) {
  const fs::path path = dir_ / "m";
  MetricsLog log(path, MetricsLog::kNewRun);
  log.write({{"step", 1}, {"note", std::string(800, 'a')}});
  const std::string before = read_file(path);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit tight{1000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::string message = error_of([&] {
    log.write({{"step", 2}, {"note", std::string(800, 'b')}});
  });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_TRUE(contains(message, "cannot be written: File too large. What stood there before is"));
  EXPECT_EQ(read_file(path), before);
  log.write({{"step", 2}});
  EXPECT_EQ(read_file(path), before + "{\"step\":2}\n");
}

}  // namespace
}  // namespace longgen
