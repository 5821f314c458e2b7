// The checkpoints of a run: what they hold, which are kept, and what happens where some are damaged
// or cannot be written.
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "longgen/checkpoint/directory_hash.h"
#include "longgen/train/checkpoint.h"
#include "run_test.h"

namespace longgen {
namespace {

class Checkpoints : public RunTest {};

void flip_a_byte(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-100, std::ios::end);
  const char byte = static_cast<char>(stream.get());
  stream.seekp(-100, std::ios::end);
  stream.put(static_cast<char>(byte ^ 1));
}

TEST_F(Checkpoints, ADamagedCheckpointIsPassedOver) {
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

TEST_F(Checkpoints, APartOfACheckpointIsPassedOver) {
  run(kNew);
  go_back_to(4);
  fs::remove(checkpoint(4) / "manifest.json");
  fs::create_directories(checkpoint(5));
  put("run/checkpoints/step-00000009", "a file");
  const std::string warnings = stderr_of([&] { run(kResume); });
  EXPECT_TRUE(contains(warnings, "resumed after step 2"));
  EXPECT_TRUE(weights_file(run_dir()) == uninterrupted());
}

TEST_F(Checkpoints, WhereEveryCheckpointIsDamagedNothingIsRemoved) {
  run(kNew);
  go_back_to(4);
  for (const int step : {2, 4}) flip_a_byte(checkpoint(step) / "model.safetensors");
  std::string message;
  stderr_of([&] { message = error(kResume); });
  EXPECT_TRUE(contains(message, "none of its 2 checkpoints is whole"));
  EXPECT_TRUE(contains(message, "--force"));
  EXPECT_EQ(checkpoints().size(), 2u);
}

TEST_F(Checkpoints, KeepsTheLastCheckpoints) {
  run(kNew, {"save.every=1", "save.keep=3"});
  EXPECT_EQ(checkpoints(), (Names{"step-00000003", "step-00000004", "step-00000005"}));
  run(kForce, {"save.every=1", "save.keep=1"});
  EXPECT_EQ(checkpoints(), Names{"step-00000005"});
  run(kForce, {"save.every=0"});
  EXPECT_FALSE(fs::exists(run_dir() / "checkpoints"));
}

TEST_F(Checkpoints, StepsOfMoreDigitsAreLater) {
  run(kNew);
  const CheckpointStore store(run_dir() / "checkpoints", 5);
  // 9 digits sort before 8 as text.
  fs::rename(checkpoint(4), run_dir() / "checkpoints" / "step-100000000");
  fs::rename(checkpoint(2), run_dir() / "checkpoints" / "step-99999999");
  const RunState expected = {.model_hash = hash_directory(dir_ / "model"),
                             .dataset_hash = TokenDataset::open(dir_ / "data", "train").hash()};
  EXPECT_EQ(store.load_last(tiny_recipe(dir_), expected)->state.step, 4);
}

TEST_F(Checkpoints, LeftoversOfAKilledRunAreRemoved) {
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

TEST_F(Checkpoints, ACheckpointIsAModelDirectory) {
  run(kNew);
  const Decoder decoder = load_model(checkpoint(4));
  EXPECT_EQ(decoder.config().context, 512);
  EXPECT_EQ(decoder.config().layers.full_layers(), std::vector<int64_t>{1});
  EXPECT_EQ(names(checkpoint(4)), (Names{"config.json", "manifest.json", "model.safetensors",
                                         "optimizer.safetensors", "recipe.toml", "state.json"}));
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

TEST_F(Checkpoints, WhereSavingFailsTheLastCheckpointStaysGood) {
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

TEST_F(Checkpoints, WhereTheModelDoesNotFitTheLastCheckpointStaysGood) {
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

TEST_F(Checkpoints, WhereTheModelCannotBeWrittenTheTrainedWeightsAreKept) {
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

TEST_F(Checkpoints, WhereNotEvenTheLogFitsTheLastCheckpointStaysGood) {
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
