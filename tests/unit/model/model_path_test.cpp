#include "longgen/model/model_path.h"

#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

class ModelPath : public FolderTest {
 protected:
  /// Makes the file, with its folders.
  void put(const std::string& name) {
    fs::create_directories((dir_ / name).parent_path());
    write_file(dir_ / name, "{}");
  }

  /// The message about dir_/name, without the path at its beginning.
  std::string reason(const std::string& name) {
    try {
      expect_model_directory(dir_ / name);
    } catch (const Error& error) {
      const std::string message = error.what(), path = (dir_ / name).string() + ": ";
      EXPECT_EQ(message.rfind(path, 0), 0u) << message;
      return message.substr(path.size());
    }
    return "";
  }

  std::string full(const std::string& name) { return (dir_ / name).string(); }
};

TEST_F(ModelPath, AModelDirectoryHasAConfig) {
  put("model/config.json");
  EXPECT_EQ(reason("model"), "");
}

TEST_F(ModelPath, SaysWhatThePathIsAndWhatIsMeant) {
  put("a.gguf");
  put("note.txt");
  put("run/recipe.toml");
  put("run/model/config.json");
  put("stopped/recipe.toml");
  put("stopped/checkpoints/step-9/config.json");
  put("stopped/checkpoints/step-20/config.json");
  put("stopped/checkpoints/step-30/half");
  put("stopped/checkpoints/step-99999999999999999999/config.json");
  put("young/recipe.toml");
  put("data/manifest.json");
  put("download/b.gguf");
  fs::create_directories(dir_ / "empty");
  EXPECT_EQ(reason("none"), "expected a model directory, found nothing of this name.");
  EXPECT_EQ(reason("a.gguf"),
            "expected a model directory, found a GGUF file. Make a directory of it first: longgen "
            "import " +
                full("a.gguf") + " OUT.");
  EXPECT_EQ(
      reason("note.txt"),
      "expected a model directory, found a file. Name the folder that has config.json and the "
      "weights.");
  EXPECT_EQ(reason("run"),
            "expected a model directory, found the directory of a training run. Use " +
                full("run/model") + ".");
  EXPECT_EQ(reason("stopped"),
            "expected a model directory, found the directory of a training run that has not "
            "finished. Go on with longgen extend --resume, or use its last checkpoint: " +
                full("stopped/checkpoints/step-20") + ".");
  EXPECT_EQ(reason("young"),
            "expected a model directory, found the directory of a training run that has saved no "
            "model yet.");
  EXPECT_EQ(
      reason("data"),
      "expected a model directory, found a token dataset (manifest.json, but no config.json). "
      "Datasets belong to --data and to data.path of a recipe.");
  EXPECT_EQ(
      reason("download"),
      "expected a model directory, found a folder with a GGUF file and no config.json. Make a "
      "model directory of the file: longgen import " +
          full("download/b.gguf") + " OUT.");
  EXPECT_EQ(reason("empty"), "expected a model directory, found a folder without config.json.");
}

TEST_F(ModelPath, NamesOfRepositoriesAreNotDownloaded) {
  for (const char* name : {"meta-llama/Llama-3.1-8B", "https://huggingface.co/Qwen/Qwen3-8B"}) {
    EXPECT_ERROR(expect_model_directory(name),
                 "found nothing of this name. longgen does not download models.");
  }
  for (const char* name :
       {"models", "./models/a", "../a", "/a/b", "~/a", "a/b/c", "a/b.gguf", ""}) {
    EXPECT_EQ(download_advice(name), "") << name;
  }
  put("models/a");
  EXPECT_EQ(download_advice(dir_ / "models/b"), "");
}

}  // namespace
}  // namespace longgen
