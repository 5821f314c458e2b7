#include "longgen/train/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// The path without "..", links or a trailing slash, as far as it exists.
fs::path resolved(const fs::path& path) {
  std::error_code unreadable;  // then opening it will say so
  const fs::path whole = fs::weakly_canonical(fs::absolute(path, unreadable), unreadable);
  return whole.has_filename() ? whole : whole.parent_path();
}

bool is_within(const fs::path& inner, const fs::path& outer) {
  const auto [inner_end, outer_end] =
      std::mismatch(inner.begin(), inner.end(), outer.begin(), outer.end());
  return outer_end == outer.end();
}

void check_apart(const Recipe& recipe, const std::string& key, const std::string& used) {
  const fs::path output = resolved(recipe.model.output), source = resolved(used);
  LG_CHECK(!is_within(output, source), recipe.where("model.output"),
           ": expected a directory outside of ", key, ", found ", recipe.model.output, " within ",
           used, ", which the run must not change.");
  for (const char* replaced : {"model", "checkpoints", "tensorboard"}) {
    LG_CHECK(!is_within(source, output / replaced), recipe.where(key),
             ": expected a directory outside of what the run writes, found ", used, " within ",
             (fs::path(recipe.model.output) / replaced).string(), ". Choose another model.output.");
  }
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  LG_CHECK(!error, path.string(), ": cannot be removed: ", error.message(), ".");
}

/// AtomicFile and AtomicDirectory write under such names.
bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".") && name.find(".tmp.") != std::string::npos;
}

void remove_temporaries(const fs::path& folder) {
  std::error_code missing;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    if (is_temporary(entry.path())) found.push_back(entry.path());
  }
  for (const fs::path& path : found) remove_tree(path);
}

}  // namespace

RunDirectory::RunDirectory(const Recipe& recipe, Use use) : path_(recipe.model.output) {
  check_apart(recipe, "model.path", recipe.model.path);
  const std::vector<DataSource> datasets = recipe.datasets();
  for (size_t i = 0; i < datasets.size(); ++i) {
    check_apart(recipe, recipe.path_key(i), datasets[i].path);
  }
  if (recipe.train.has_teacher_directory()) {
    check_apart(recipe, "train.teacher", recipe.train.teacher);
  }
  std::error_code error;
  fs::create_directories(path_, error);
  LG_CHECK(!error, recipe.where("model.output"), ": ", path_.string(),
           ": cannot be created: ", error.message(), ".");
  if (use == Use::look) return;
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // File systems without locks give other errors; there the user must take care.
  const bool taken = lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!taken) return;
  ::close(lock_);
  LG_FAIL(path_.string(),
          ": another longgen extend is at work here. Wait for it, stop it, or choose another "
          "model.output.");
}

RunDirectory::~RunDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

void RunDirectory::remove_leftovers() const {
  remove_temporaries(path_);
  remove_temporaries(checkpoints());
}

void RunDirectory::clear() const {
  for (const fs::path& path : {model(), state_file(), checkpoints(), tensorboard()}) {
    remove_tree(path);
  }
}

}  // namespace longgen
