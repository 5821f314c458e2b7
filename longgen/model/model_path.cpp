#include "longgen/model/model_path.h"

#include <algorithm>
#include <string>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Returns the last folder step-N of a run's checkpoints that is a model directory; empty: none.
fs::path last_checkpoint(const fs::path& run) {
  fs::path last;
  int64_t most = -1;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("step-", 0) != 0 || !fs::exists(entry.path() / "config.json")) continue;
    const std::string digits = name.substr(5);
    if (digits.empty() || digits.size() > 18 ||
        digits.find_first_not_of("0123456789") != digits.npos) {
      continue;
    }
    if (const int64_t step = std::stoll(digits); step > most) {
      most = step;
      last = entry.path();
    }
  }
  return last;
}

[[noreturn]] void refuse_file(const fs::path& path) {
  const std::string ending = path.extension().string();
  if (ending == ".gguf") {
    LG_FAIL(path.string(),
            ": expected a model directory, found a GGUF file. Make a directory of it "
            "first: longgen import ",
            path.string(), " OUT.");
  }
  LG_FAIL(path.string(),
          ": expected a model directory, found a file. Name the folder that has "
          "config.json and the weights.");
}

[[noreturn]] void refuse_folder(const fs::path& path) {
  const std::string begin = path.string() + ": expected a model directory, found ";
  if (fs::exists(path / "model" / "config.json")) {
    const bool is_run = fs::exists(path / "recipe.toml");
    LG_FAIL(begin, is_run ? "the directory of a training run" : "a folder without config.json",
            ". Use ", (path / "model").string(), ".");
  }
  if (const fs::path checkpoint = last_checkpoint(path); !checkpoint.empty()) {
    LG_FAIL(begin,
            "the directory of a training run that has not finished. Go on with longgen extend "
            "--resume, or use its last checkpoint: ",
            checkpoint.string(), ".");
  }
  if (fs::exists(path / "recipe.toml")) {
    LG_FAIL(begin, "the directory of a training run that has saved no model yet.");
  }
  if (fs::exists(path / "manifest.json")) {
    LG_FAIL(begin,
            "a token dataset (manifest.json, but no config.json). Datasets belong to --data and "
            "to data.path of a recipe.");
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".gguf") {
      LG_FAIL(begin,
              "a folder with a GGUF file and no config.json. Make a model directory of the file: "
              "longgen import ",
              entry.path().string(), " OUT.");
    }
  }
  LG_FAIL(begin, "a folder without config.json.");
}

bool is_remote_name(const fs::path& path) {
  const std::string text = path.string();
  if (text.find("://") != text.npos) return true;
  if (text.empty() || path.extension() == ".gguf" || fs::exists(path.parent_path())) return false;
  const auto num_slashes = std::count(text.begin(), text.end(), '/');
  return num_slashes == 1 && text.back() != '/' && text.find_first_of("/.~") != 0;
}

}  // namespace

std::string download_advice(const fs::path& path) {
  if (!is_remote_name(path)) return "";
  return " longgen does not download models. Fetch it first, for example with hf download NAME "
         "--local-dir DIR (of the Python package huggingface_hub), then longgen import DIR OUT.";
}

void expect_model_directory(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    LG_FAIL(path.string(), ": expected a model directory, found nothing of this name.",
            download_advice(path));
  }
  if (!fs::is_directory(status)) refuse_file(path);
  if (!fs::exists(path / "config.json")) refuse_folder(path);
}

}  // namespace longgen
