// train/run_directory.h: the folder that a run owns.
#pragma once

#include "longgen/base/files.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// model.output of a recipe. Creates the folder. Whoever writes in it keeps other runs out of it
/// until it is destroyed, or the process is killed.
class RunDirectory {
 public:
  enum class Use {
    write,
    look,  ///< as the other ranks of a run do, of which one writes
  };
  /// Throws Error when it lies within the model, the data or the teacher that the run begins with,
  /// or they in what the run replaces; when another run is at work in it; where it cannot be
  /// created.
  explicit RunDirectory(const Recipe& recipe, Use use = Use::write);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const fs::path& path() const { return path_; }
  fs::path recipe_file() const { return path_ / "recipe.toml"; }
  fs::path state_file() const { return path_ / "state.json"; }  ///< there beside model()
  fs::path metrics() const { return path_ / "metrics.jsonl"; }
  fs::path tensorboard() const { return path_ / "tensorboard"; }
  fs::path checkpoints() const { return path_ / "checkpoints"; }
  fs::path rank_log(int rank) const { return path_ / ("rank-" + std::to_string(rank) + ".log"); }
  fs::path model() const { return path_ / "model"; }  ///< there once the run is finished

  /// Removes what a killed run left half written.
  void remove_leftovers() const;
  /// Removes what an earlier run left: model, state, checkpoints, event files.
  void clear() const;

 private:
  fs::path path_;
  int lock_ = -1;
};

}  // namespace longgen
