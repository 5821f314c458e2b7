// What the tests of stopped runs and of checkpoints share: runs of one recipe in one folder.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tiny_run.h"

namespace longgen {

inline const TrainOptions kNew = {.show_progress = false};
inline const TrainOptions kResume = {.resume = true, .show_progress = false};
inline const TrainOptions kForce = {.replace = true, .show_progress = false};

using Names = std::vector<std::string>;

/// A tiny model, its dataset, and runs of one recipe in DIR/run that are stopped and go on.
class RunTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    write_tiny_model(dir_ / "model", tiny_config(), 1);
    write_dataset(dir_ / "data", dir_ / "model", documents(30, 30));
  }

  static Names joined(Names a, const Names& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  TrainSummary run(const TrainOptions& options, const Names& more = {}) {
    return train(tiny_recipe(dir_, joined({"save.every=2"}, more)), options);
  }
  std::string error(const TrainOptions& options, const Names& more = {}) {
    return error_of([&] { run(options, more); });
  }

  /// Weights of a whole run elsewhere.
  std::string uninterrupted(const Names& more = {}) {
    const std::string output = (dir_ / "whole").string();
    run(kForce, joined(more, {"model.output=" + output}));
    return weights_file(output);
  }

  fs::path run_dir() const { return dir_ / "run"; }
  fs::path checkpoint(int step) const {
    return run_dir() / "checkpoints" / ("step-0000000" + std::to_string(step));
  }
  Names names(const fs::path& folder) const {
    Names names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  Names checkpoints() const { return names(run_dir() / "checkpoints"); }

  /// A finished run as it was when `step` had just been saved.
  void go_back_to(int step) {
    fs::remove_all(run_dir() / "model");
    for (const std::string& name : checkpoints()) {
      if (name > checkpoint(step).filename()) fs::remove_all(run_dir() / "checkpoints" / name);
    }
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

}  // namespace longgen
