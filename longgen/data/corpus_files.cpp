#include "longgen/data/corpus_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

class FolderWalk {
 public:
  explicit FolderWalk(const fs::path& folder) { walk(folder); }
  std::vector<fs::path> files() && { return std::move(files_); }

 private:
  using FolderId = std::pair<dev_t, ino_t>;
  struct Seen {
    fs::path path;
    bool is_open;  // still being walked
  };

  static FolderId id_of(const fs::path& folder) {
    struct stat info {};
    LG_CHECK(::stat(folder.c_str(), &info) == 0, folder.string(),
             ": cannot be examined: ", std::strerror(errno), ".");
    return {info.st_dev, info.st_ino};
  }

  /// Lists entries by name, so that a folder always gives the same files and the same error.
  static std::vector<fs::path> entries_of(const fs::path& folder) {
    std::vector<fs::path> paths;
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      paths.push_back(entries->path());
    }
    LG_CHECK(!error, folder.string(), ": cannot be read: ", error.message(), ".");
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  void walk(const fs::path& folder) {
    const FolderId id = id_of(folder);
    const auto [seen, is_new] = seen_.emplace(id, Seen{folder, true});
    LG_CHECK(is_new || !seen->second.is_open, folder.string(), ": this link leads back to ",
             seen->second.path.string(), ", which holds it. Remove the link.");
    LG_CHECK(is_new, folder.string(), ": is the folder ", seen->second.path.string(),
             " once more, whose documents would count double. Remove the link.");
    for (const fs::path& path : entries_of(folder)) take(path);
    seen_.at(id).is_open = false;
  }

  void take(const fs::path& path) {
    if (path.filename().string().starts_with(".")) return;
    std::error_code error;
    const fs::file_type type = fs::status(path, error).type();
    if (type == fs::file_type::not_found) {
      LG_FAIL(path.string(), ": a link to ", fs::read_symlink(path, error).string(),
              ", which does not exist. Remove or repair it.");
    }
    LG_CHECK(!error, path.string(), ": cannot be examined: ", error.message(), ".");
    if (type == fs::file_type::directory) {
      walk(path);
    } else {
      files_.push_back(path);
    }
  }

  std::map<FolderId, Seen> seen_;
  std::vector<fs::path> files_;
};

}  // namespace

std::vector<fs::path> corpus_files(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  LG_CHECK(type != fs::file_type::not_found, path.string(), ": no such file or folder.");
  LG_CHECK(!error, path.string(), ": cannot be examined: ", error.message(), ".");
  return type == fs::file_type::directory ? FolderWalk(path).files() : std::vector{path};
}

}  // namespace longgen
