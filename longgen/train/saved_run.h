// train/saved_run.h: what a run leaves in its directory: checkpoints and, at the end, the model.
#pragma once

#include <optional>
#include <string>

#include "longgen/model/stored_weights.h"
#include "longgen/train/checkpoint.h"
#include "longgen/train/run_directory.h"

namespace longgen {

/// The directory at model.output. With RunDirectory::Use::write it is this process's alone while
/// the object lives; otherwise nothing may be saved.
class SavedRun {
 public:
  /// Throws Error as stored_types() and RunDirectory do. Changes nothing of an earlier run.
  SavedRun(const Recipe& recipe, const std::string& dataset_hash, RunDirectory::Use use);

  const RunDirectory& directory() const { return directory_; }
  bool is_finished() const;
  bool has_checkpoints() const { return !store_.empty(); }
  /// Throws Error where the finished run here is not the one that the recipe, the model and the
  /// data would give.
  void expect_finished_run() const;

  /// The state before the first step. Reads all files of the model, for their hash, and
  /// of a teacher.
  RunState inputs() const;
  /// Gives what CheckpointStore::load_last() does.
  std::optional<Checkpoint> load_last(const RunState& expected, at::Device device);
  /// The folder of the last checkpoint, whole or not; nullopt when there is none.
  std::optional<fs::path> last_folder() const { return store_.last(); }

  /// Writes a checkpoint, unless the last one is of this step. Throws Error where it cannot be
  /// written and where the weights are not finite: then nothing is written.
  void save(const RunState& state, const TrainableModel& model);
  /// Writes the trained model in the types of the one that the run began with. Throws Error as
  /// save() does, and then keeps the trained weights in a checkpoint, if that is possible.
  void finish(const RunState& state, const TrainableModel& model);

 private:
  void expect_finite_weights(const RunState& state, const TrainableModel& model,
                             const char* consequence) const;
  void write_model(const RunState& state, const TrainableModel& model) const;
  std::string kept_steps(const RunState& state, const TrainableModel& model);

  const Recipe& recipe_;
  std::string dataset_hash_;
  StoredTypes stored_types_;  // of the model that the run begins with, and of the one it makes
  RunDirectory directory_;
  CheckpointStore store_;
  int64_t saved_step_ = -1;  // of the last checkpoint
};

}  // namespace longgen
