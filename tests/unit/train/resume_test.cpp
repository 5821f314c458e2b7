// A run that was stopped goes on as if nothing had happened; one that began otherwise is refused.
#include <atomic>
#include <thread>

#include "longgen/train/checkpoint.h"
#include "run_test.h"

namespace longgen {
namespace {

class Resume : public RunTest {};

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

}  // namespace
}  // namespace longgen
