// A run that was stopped, killed or could not write goes on as if nothing had happened.
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "longgen/checkpoint/directory_hash.h"
#include "longgen/train/checkpoint.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tiny_run.h"

namespace longgen {
namespace {

const TrainOptions kNew = {.show_progress = false};
const TrainOptions kResume = {.resume = true, .show_progress = false};
const TrainOptions kForce = {.replace = true, .show_progress = false};

class Resume : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    write_tiny_model(dir_ / "model", tiny_config(), 1);
    write_dataset(dir_ / "data", dir_ / "model", documents(30, 30));
  }

  static std::vector<std::string> joined(std::vector<std::string> a,
                                         const std::vector<std::string>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  TrainSummary run(const TrainOptions& options, const std::vector<std::string>& more = {}) {
    return train(tiny_recipe(dir_, joined({"save.every=2"}, more)), options);
  }
  std::string error(const TrainOptions& options, const std::vector<std::string>& more = {}) {
    return error_of([&] { run(options, more); });
  }

  /// Weights of a whole run elsewhere.
  std::string uninterrupted(const std::vector<std::string>& more = {}) {
    const std::string output = (dir_ / "whole").string();
    run(kForce, joined(more, {"model.output=" + output}));
    return weights_file(output);
  }

  fs::path run_dir() const { return dir_ / "run"; }
  fs::path checkpoint(int step) const {
    return run_dir() / "checkpoints" / ("step-0000000" + std::to_string(step));
  }
  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::vector<std::string> checkpoints() const { return names(run_dir() / "checkpoints"); }

  /// A finished run as it was when `step` had just been saved.
  void go_back_to(int step) {
    fs::remove_all(run_dir() / "model");
    for (const std::string& name : checkpoints()) {
      if (name > checkpoint(step).filename()) fs::remove_all(run_dir() / "checkpoints" / name);
    }
  }

  void flip_a_byte(const fs::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(-100, std::ios::end);
    const char byte = static_cast<char>(stream.get());
    stream.seekp(-100, std::ios::end);
    stream.put(static_cast<char>(byte ^ 1));
  }

  /// Waits until a run in another thread has written so much.
  void wait_for_log(uintmax_t bytes) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    std::error_code none_yet;
    while (std::chrono::steady_clock::now() < deadline) {
      const uintmax_t found = fs::file_size(run_dir() / "metrics.jsonl", none_yet);
      if (!none_yet && found >= bytes) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
};

using Names = std::vector<std::string>;

TEST_F(Resume, FromEveryCheckpointTheWeightsAreTheSame) {
  for (const Names& numbers :
       {Names{"train.precision=float32"}, Names{"train.precision=bfloat16"},
        Names{"train.precision=bfloat16", "train.states=bfloat16", "train.seed=5"}}) {
    const Names recipe =
        joined(numbers, {"save.every=1", "save.keep=100", "train.accumulation=2",
                         "train.recompute=layers_keep_attention", "train.threads=2"});
    const std::string expected = uninterrupted(recipe);
    run(kForce, recipe);
    const auto losses = metric(run_dir(), "loss");
    for (const int step : {5, 3, 1}) {
      go_back_to(step);
      const TrainSummary summary = run(kResume, recipe);
      EXPECT_TRUE(summary.finished);
      EXPECT_EQ(summary.steps, 6);
      EXPECT_EQ(summary.tokens, 6 * 2 * 160);
      EXPECT_TRUE(weights_file(run_dir()) == expected) << numbers.back() << " from step " << step;
      EXPECT_EQ(metric(run_dir(), "step"), (std::vector<Json>{1, 2, 3, 4, 5, 6}));
      EXPECT_EQ(metric(run_dir(), "loss"), losses);
    }
  }
}

TEST_F(Resume, WithATeacherAndWeightsTheWeightsAreTheSameToo) {
  write_tiny_model(dir_ / "teacher", tiny_config(), 2);
  for (const std::string& teacher : {std::string("self"), (dir_ / "teacher").string()}) {
    const Names recipe = {"train.teacher=" + teacher, "train.distill_share=0.5",
                          "train.far_weight=4",       "train.accumulation=2",
                          "train.precision=bfloat16", "architecture.sparse_rope=original",
                          "data.sequence_length=200", "train.align_steps=3"};
    const std::string expected = uninterrupted(recipe);
    run(kForce, recipe);
    EXPECT_TRUE(weights_file(run_dir()) == expected) << teacher;
    const auto losses = metric(run_dir(), "distill_loss");
    EXPECT_EQ(losses.size(), 3u);
    go_back_to(2);  // within alignment
    EXPECT_TRUE(run(kResume, recipe).finished);
    EXPECT_TRUE(weights_file(run_dir()) == expected) << teacher;
    EXPECT_EQ(metric(run_dir(), "distill_loss"), losses);
  }
}

TEST_F(Resume, LossesOfSourcesAreTheSame) {
  write_dataset(dir_ / "data", dir_ / "model", documents(60, 30), 0.3);
  write_dataset(dir_ / "other", dir_ / "model", documents(60, 30, 2), 0.3);
  const auto source = [&](const std::string& name) {
    return "{path='" + (dir_ / name).string() + "',weight=1}";
  };
  const Names recipe = {"data.sources=[" + source("data") + "," + source("other") + "]",
                        "eval.every=2", "eval.sequences=2"};
  run(kNew, recipe);
  const auto losses = metric(run_dir(), "eval_losses"), means = metric(run_dir(), "eval_loss");
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_EQ(losses[0].size(), 2u);
  EXPECT_NEAR((losses[0]["data"].get<double>() + losses[0]["other"].get<double>()) / 2,
              means[0].get<double>(), 0.05);
  go_back_to(2);
  EXPECT_TRUE(run(kResume, recipe).finished);
  EXPECT_EQ(metric(run_dir(), "eval_losses"), losses);
  EXPECT_EQ(metric(run_dir(), "eval_loss"), means);
}

TEST_F(Resume, AnotherTeacherIsAnotherRun) {
  write_tiny_model(dir_ / "teacher", tiny_config(), 2);
  const Names recipe = {"train.teacher=" + (dir_ / "teacher").string(), "architecture.context=256"};
  run(kNew, recipe);
  go_back_to(4);
  write_tiny_model(dir_ / "teacher", tiny_config(), 3);
  EXPECT_TRUE(contains(error(kResume, recipe), "\n  the files of train.teacher have changed\n"));
  const std::string none = error(kResume, {"architecture.context=256"});
  EXPECT_TRUE(
      contains(none, "train.teacher: \"" + (dir_ / "teacher").string() + "\" before, \"\" now\n"));
  EXPECT_FALSE(contains(none, "the files of train.teacher"));
}

TEST_F(Resume, AStoppedRunSavesAndGoesOn) {
  const Names recipe = {"train.steps=80", "save.every=0"};
  const std::string expected = uninterrupted(recipe);
  std::atomic<bool> stop = false;
  const std::jthread watcher([&] {  // stops the run once it has logged a few steps
    wait_for_log(500);
    stop = true;
  });
  const TrainSummary stopped = run({.show_progress = false, .stop = &stop}, recipe);
  EXPECT_FALSE(stopped.finished);
  EXPECT_EQ(stopped.model, "");
  ASSERT_LT(stopped.steps, 80);
  ASSERT_GT(stopped.steps, 0);
  EXPECT_EQ(checkpoints().size(), 1u);
  EXPECT_FALSE(fs::exists(run_dir() / "model"));
  const TrainSummary resumed = run(kResume, recipe);
  EXPECT_TRUE(resumed.finished);
  EXPECT_EQ(resumed.steps, 80);
  EXPECT_TRUE(weights_file(run_dir()) == expected);
}

TEST_F(Resume, StoppedBeforeTheFirstStepItGoesOn) {
  const std::atomic<bool> stop = true;
  const TrainSummary stopped = run({.show_progress = false, .stop = &stop});
  EXPECT_EQ(stopped.steps, 0);
  EXPECT_TRUE(run(kResume).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Resume, StoppedAgainWithoutAStepTheCheckpointIsNotWrittenAgain) {
  run(kNew, {"save.keep=1"});
  go_back_to(4);
  const auto written = fs::last_write_time(checkpoint(4) / "model.safetensors");
  const std::atomic<bool> stop = true;
  const TrainSummary stopped = run({.resume = true, .show_progress = false, .stop = &stop});
  EXPECT_EQ(stopped.steps, 4);
  EXPECT_EQ(fs::last_write_time(checkpoint(4) / "model.safetensors"), written);
}

TEST_F(Resume, WithoutACheckpointItBegins) {
  EXPECT_TRUE(run(kResume).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Resume, AFinishedRunIsSaidToBeFinished) {
  run(kNew);
  const std::string before = weights_file(run_dir());
  TrainSummary summary;
  EXPECT_TRUE(contains(stderr_of([&] { summary = run(kResume); }), "this run is finished"));
  EXPECT_TRUE(summary.finished);
  EXPECT_EQ(summary.steps, 6);
  EXPECT_EQ(summary.model, run_dir() / "model");
  EXPECT_EQ(weights_file(run_dir()), before);
}

TEST_F(Resume, AFinishedRunOfAnotherRecipeIsRefused) {
  run(kNew);
  const std::string message = error(kResume, {"train.steps=7"});
  EXPECT_TRUE(contains(message, "train.steps: 6 before, 7 now"));
  EXPECT_TRUE(contains(message, "--force or another model.output"));
}

TEST_F(Resume, AFinishedRunOfOtherDataOrAnotherModelIsRefused) {
  run(kNew);
  const std::string begin = run_dir().string() + ": holds a finished run that began otherwise:\n";
  const std::string end = "Restore these, or begin a new run with --force or another model.output.";
  write_dataset(dir_ / "data", dir_ / "model", documents(30, 30, 2));
  EXPECT_EQ(error(kResume), begin + "  the dataset at data.path has changed\n" + end);
  write_tiny_model(dir_ / "model", tiny_config(), 2);
  EXPECT_EQ(error(kResume, {"train.steps=7"}),
            begin + "  train.steps: 6 before, 7 now\n  the files of model.path have changed\n" +
                "  the dataset at data.path has changed\n" + end);
  EXPECT_TRUE(fs::exists(run_dir() / "model"));
  EXPECT_TRUE(run(kForce).finished);
  EXPECT_TRUE(run(kResume).finished) << "the new run is the one that is compared with";
}

/// Runs that longgen finished before it kept their state.
TEST_F(Resume, OfAFinishedRunWithoutAStateTheRecipeIsCompared) {
  run(kNew);
  fs::remove(run_dir() / "state.json");
  write_dataset(dir_ / "data", dir_ / "model", documents(30, 30, 2));
  EXPECT_TRUE(run(kResume).finished);
  EXPECT_TRUE(contains(error(kResume, {"train.steps=7"}), "train.steps: 6 before, 7 now"));
}

TEST_F(Resume, AnExistingRunNeedsResumeOrForce) {
  run(kNew);
  EXPECT_TRUE(contains(error(kNew), "holds a finished run already. Give --force"));
  go_back_to(4);
  EXPECT_TRUE(contains(error(kNew), "holds checkpoints of a run. Give --resume to go on"));
  EXPECT_EQ(checkpoints(), (Names{"step-00000002", "step-00000004"}));
}

TEST_F(Resume, ForceBeginsAnew) {
  run(kNew, {"train.learning_rate=0.1"});
  const std::string expected = uninterrupted();
  EXPECT_TRUE(run(kForce, {"save.every=3"}).finished);
  EXPECT_TRUE(weights_file(run_dir()) == expected);
  EXPECT_EQ(checkpoints(), Names{"step-00000003"});
  EXPECT_EQ(metric(run_dir(), "step").size(), 6u);
  EXPECT_EQ(names(run_dir() / "tensorboard").size(), 1u);
}

TEST_F(Resume, ForceLeavesTheOldRunWhereTheNewOneCannotBegin) {
  run(kNew);
  fs::resize_file(dir_ / "model" / "model.safetensors", 1000);
  EXPECT_TRUE(contains(error(kForce), "model.safetensors"));
  EXPECT_TRUE(fs::exists(run_dir() / "model"));
  EXPECT_EQ(checkpoints().size(), 2u);
}

TEST_F(Resume, AChangedRecipeIsRefusedWithTheDifferences) {
  run(kNew);
  go_back_to(4);
  const std::string message = error(
      kResume, {"train.learning_rate=0.003", "data.seed=5", "train.recompute=none", "log.every=3"});
  EXPECT_TRUE(contains(message, "step-00000004: this run cannot be resumed"));
  EXPECT_TRUE(contains(message, "\n  train.learning_rate: 0.002 before, 0.003 now"));
  EXPECT_TRUE(contains(message, "\n  data.seed: 0 before, 5 now"));
  EXPECT_EQ(message.find("recompute"), std::string::npos);
  EXPECT_TRUE(contains(message, "--force or another model.output"));
  // What may change may change, and does not change a bit.
  EXPECT_TRUE(run(kResume, {"train.recompute=none", "log.every=3", "save.keep=7"}).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Resume, AChangedDatasetIsRefused) {
  run(kNew);
  go_back_to(4);
  write_dataset(dir_ / "data", dir_ / "model", documents(30, 30, 2));
  EXPECT_TRUE(contains(error(kResume), "the dataset at data.path has changed"));
}

TEST_F(Resume, AChangedModelIsRefused) {
  run(kNew);
  go_back_to(4);
  write_tiny_model(dir_ / "model", tiny_config(), 2);
  EXPECT_TRUE(contains(error(kResume), "the files of model.path have changed"));
}

TEST_F(Resume, ADamagedCheckpointIsPassedOver) {
  const std::string expected = uninterrupted();
  for (const char* file : {"optimizer.safetensors", "model.safetensors", "state.json"}) {
    run(kForce);
    go_back_to(4);
    flip_a_byte(checkpoint(4) / file);
    const std::string warnings = stderr_of([&] { run(kResume); });
    EXPECT_TRUE(contains(warnings, "checkpoint passed over"));
    EXPECT_TRUE(contains(warnings, file));
    EXPECT_TRUE(contains(warnings, "resumed after step 2"));
    EXPECT_TRUE(weights_file(run_dir()) == expected) << file;
    EXPECT_NO_THROW(verify_manifest(checkpoint(4))) << "written anew";
  }
}

TEST_F(Resume, APartOfACheckpointIsPassedOver) {
  run(kNew);
  go_back_to(4);
  fs::remove(checkpoint(4) / "manifest.json");
  fs::create_directories(checkpoint(5));
  put("run/checkpoints/step-00000009", "a file");
  const std::string warnings = stderr_of([&] { run(kResume); });
  EXPECT_TRUE(contains(warnings, "resumed after step 2"));
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Resume, WhereEveryCheckpointIsDamagedNothingIsRemoved) {
  run(kNew);
  go_back_to(4);
  for (const int step : {2, 4}) flip_a_byte(checkpoint(step) / "model.safetensors");
  std::string message;
  stderr_of([&] { message = error(kResume); });
  EXPECT_TRUE(contains(message, "none of its 2 checkpoints is whole"));
  EXPECT_TRUE(contains(message, "--force"));
  EXPECT_EQ(checkpoints().size(), 2u);
}

TEST_F(Resume, KeepsTheLastCheckpoints) {
  run(kNew, {"save.every=1", "save.keep=3"});
  EXPECT_EQ(checkpoints(), (Names{"step-00000003", "step-00000004", "step-00000005"}));
  run(kForce, {"save.every=1", "save.keep=1"});
  EXPECT_EQ(checkpoints(), Names{"step-00000005"});
  run(kForce, {"save.every=0"});
  EXPECT_FALSE(fs::exists(run_dir() / "checkpoints"));
}

TEST_F(Resume, StepsOfMoreDigitsAreLater) {
  run(kNew);
  const CheckpointStore store(run_dir() / "checkpoints", 5);
  // 9 digits sort before 8 as text.
  fs::rename(checkpoint(4), run_dir() / "checkpoints" / "step-100000000");
  fs::rename(checkpoint(2), run_dir() / "checkpoints" / "step-99999999");
  const RunState expected = {.model_hash = hash_directory(dir_ / "model"),
                             .dataset_hash = TokenDataset::open(dir_ / "data", "train").hash()};
  EXPECT_EQ(store.load_last(tiny_recipe(dir_), expected)->state.step, 4);
}

TEST_F(Resume, LeftoversOfAKilledRunAreRemoved) {
  run(kNew);
  go_back_to(4);
  for (const char* folder : {".step-00000006.tmp.4711", ".step-00000004.tmp.4711.old"}) {
    fs::create_directories(run_dir() / "checkpoints" / folder);
    put("run/checkpoints/" + std::string(folder) + "/model.safetensors", "half");
  }
  fs::create_directories(run_dir() / ".model.tmp.4711");
  put("run/.recipe.toml.tmp.4711", "half");
  put("run/.metrics.jsonl.tmp.4711", "half");
  put("run/.notes", "of the user");
  run(kResume);
  EXPECT_EQ(checkpoints(), (Names{"step-00000002", "step-00000004"}));
  EXPECT_EQ(names(run_dir()), (Names{".notes", "checkpoints", "metrics.jsonl", "model",
                                     "recipe.toml", "state.json", "tensorboard"}));
}

TEST_F(Resume, ACheckpointIsAModelDirectory) {
  run(kNew);
  const Decoder decoder = load_model(checkpoint(4));
  EXPECT_EQ(decoder.config().context, 512);
  EXPECT_EQ(decoder.config().layers.full_layers(), std::vector<int64_t>{1});
  EXPECT_EQ(names(checkpoint(4)), (Names{"config.json", "manifest.json", "model.safetensors",
                                         "optimizer.safetensors", "recipe.toml", "state.json"}));
}

TEST_F(Resume, TwoRunsInOneFolderAreRefused) {
  std::string message;
  std::atomic<bool> stop = false;
  std::jthread second([&] {
    wait_for_log(1);
    message = error(kResume);
    stop = true;
  });
  run({.show_progress = false, .stop = &stop}, {"train.steps=100000", "log.tensorboard=false"});
  second.join();
  EXPECT_TRUE(contains(message, "another longgen extend is at work here"));
}

TEST_F(Resume, TheModelAndDataMayNotLieInWhatTheRunReplaces) {
  run(kNew);
  const std::string model = "model.path=" + (run_dir() / "model").string();
  EXPECT_TRUE(
      contains(error(kForce, {model}), "expected a directory outside of what the run writes"));
  EXPECT_TRUE(contains(error(kForce, {"model.output=" + dir_.string()}), "test.toml: line 2"));
  EXPECT_TRUE(fs::exists(run_dir() / "model"));
  EXPECT_TRUE(fs::exists(dir_ / "model"));
}

TEST_F(Resume, TheRunMayNotLieInItsModelOrData) {
  for (const char* place : {"model", "model/run", "data", "data/a/../b"}) {
    const std::string message = error(kForce, {"model.output=" + (dir_ / place).string()});
    EXPECT_TRUE(contains(message, "expected a directory outside of")) << place;
  }
  EXPECT_TRUE(fs::exists(dir_ / "model" / "model.safetensors"));
}

/// Files may not grow beyond a size, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // write() fails instead
    const rlimit now = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(Resume, WhereSavingFailsTheLastCheckpointStaysGood) {
  const std::string expected = uninterrupted();
  run(kNew);
  const auto model_bytes = static_cast<rlim_t>(fs::file_size(checkpoint(2) / "model.safetensors"));
  // The weights do not fit, or they do and the moments, twice as long, do not.
  for (const rlim_t limit : {model_bytes / 2, model_bytes * 3 / 2}) {
    go_back_to(2);
    std::string message;
    {
      const FileSizeLimit full(limit);
      message = error(kResume);
    }
    EXPECT_TRUE(contains(message, "cannot be written: File too large"));
    EXPECT_TRUE(contains(message, "step-00000004"));
    EXPECT_EQ(checkpoints(), Names{"step-00000002"});
    EXPECT_NO_THROW(verify_manifest(checkpoint(2)));
    EXPECT_TRUE(run(kResume).finished);
    EXPECT_TRUE(weights_file(run_dir()) == expected);
  }
}

TEST_F(Resume, WhereTheModelDoesNotFitTheLastCheckpointStaysGood) {
  run(kNew, {"save.every=5"});
  go_back_to(5);
  std::string message;
  {
    const FileSizeLimit full(fs::file_size(checkpoint(5) / "model.safetensors") / 2);
    message = error(kResume, {"save.every=5"});
  }
  EXPECT_TRUE(contains(message, "cannot be written: File too large"));
  EXPECT_FALSE(fs::exists(run_dir() / "model"));
  EXPECT_TRUE(run(kResume, {"save.every=5"}).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Resume, WhereTheModelCannotBeWrittenTheTrainedWeightsAreKept) {
  run(kNew);
  go_back_to(4);
  fs::remove(run_dir() / "state.json");
  fs::create_directories(run_dir() / "state.json" / "in the way");
  const std::string message = error(kResume);
  EXPECT_TRUE(contains(message, "state.json: cannot be put in place"));
  EXPECT_TRUE(contains(message, "\n  The trained weights are kept in " + checkpoint(6).string() +
                                    ", a model directory; --resume writes the model from them."));
  EXPECT_FALSE(fs::exists(run_dir() / "model"));
  fs::remove_all(run_dir() / "state.json");
  EXPECT_TRUE(run(kResume).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

/// Steps that were skipped before a stop count after it.
TEST_F(Resume, SkippedStepsInARowAreCountedOverAStop) {
  write_tiny_model(dir_ / "model", tiny_config(), 1, [](ModelWeights& weights) {
    weights.layers[1].linear(TensorRole::kDown).weight.fill_(3e38F);
  });
  const Names recipe = {"train.steps=100000", "train.max_skipped_steps=100000"};
  std::atomic<bool> stop = false;
  const std::jthread watcher([&] {
    wait_for_log(1);
    stop = true;
  });
  TrainSummary stopped;
  stderr_of([&] { stopped = run({.show_progress = false, .stop = &stop}, recipe); });
  ASSERT_GT(stopped.steps, 0);
  EXPECT_EQ(read_state(CheckpointStore(run_dir() / "checkpoints", 1).last().value() / "state.json")
                .skipped_in_a_row,
            stopped.steps);
  std::string message;
  const std::string limit = std::to_string(stopped.steps + 2);
  stderr_of(
      [&] { message = error(kResume, joined(recipe, {"train.max_skipped_steps=" + limit})); });
  EXPECT_TRUE(contains(message, ": steps 1 to " + limit + " gave a loss"));
}

TEST_F(Resume, WhereNotEvenTheLogFitsTheLastCheckpointStaysGood) {
  run(kNew);
  go_back_to(4);
  std::string message;
  {
    const FileSizeLimit full(10);
    message = error(kResume);
  }
  EXPECT_TRUE(contains(message, "cannot be written: File too large"));
  EXPECT_NO_THROW(verify_manifest(checkpoint(4)));
  EXPECT_TRUE(run(kResume).finished);
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

}  // namespace
}  // namespace longgen
