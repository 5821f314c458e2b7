// train/checkpoint.h: what a run needs to go on exactly where it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/base/files.h"
#include "longgen/train/recipe/recipe.h"
#include "longgen/train/trainable_model.h"

namespace longgen {

/// What a run is, besides weights and moments. The order of the data is a function of the step.
struct RunState {
  int64_t step = 0;              ///< steps done
  int64_t tokens = 0;            ///< tokens seen
  int64_t skipped_in_a_row = 0;  ///< of these steps the last ones, which changed nothing
  std::string model_hash;        ///< of the model that the run began with
  std::string dataset_hash;
  std::string teacher_hash = {};  ///< of a teacher that is another model; "" where there is none
};

/// A small JSON file. Throws Error naming the file where it cannot be written, or read.
void write_state(const fs::path& file, const RunState& state);
RunState read_state(const fs::path& file);

/// What a run that began with this recipe, model and dataset differs in from a saved one, a line
/// each, "  train.steps: 6 before, 7 now"; empty where nothing that decides the result differs.
std::string run_differences(const Recipe& saved_recipe, const RunState& saved, const Recipe& recipe,
                            const RunState& expected);

/// What is read of a checkpoint; masters and moments in the type of the recipe's train.states.
struct Checkpoint {
  RunState state;
  ModelWeights masters;
  AdamWState moments;
};

/// Folders RUN/checkpoints/step-00000100, each a model directory that longgen and transformers
/// open, with optimizer.safetensors, state.json, recipe.toml and a manifest.json of all hashes. A
/// folder appears whole, flushed to disk, or not at all; then all but the last `keep` are removed.
class CheckpointStore {
 public:
  /// `directory` need not exist yet.
  CheckpointStore(fs::path directory, int64_t keep);

  /// Throws Error where it cannot be written (a full disk): older checkpoints stay.
  void save(const Recipe& recipe, const RunState& state, const TrainableModel& model) const;

  /// The last one whose hashes are right, on `device`; damaged ones are passed over with a warning.
  /// nullopt when there are no checkpoints. Throws Error when none is whole, and when the recipe or
  /// the hashes in `expected` differ from the saved ones in what decides the result.
  std::optional<Checkpoint> load_last(const Recipe& recipe, const RunState& expected,
                                      c10::Device device = c10::kCPU) const;

  bool empty() const { return folders().empty(); }
  /// The folder of the last one, whole or not; nullopt when there are none.
  std::optional<fs::path> last() const;

 private:
  std::vector<fs::path> folders() const;  // in the order of their steps
  fs::path directory_;
  int64_t keep_;
};

}  // namespace longgen
