#include "longgen/train/saved_run.h"

#include "longgen/base/check.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/import/model_files.h"
#include "longgen/model/model_directory.h"

namespace longgen {

SavedRun::SavedRun(const Recipe& recipe, const std::string& dataset_hash, RunDirectory::Use use)
    : recipe_(recipe),
      dataset_hash_(dataset_hash),
      stored_types_(stored_types(recipe.model.path)),
      directory_(recipe, use),
      store_(directory_.checkpoints(), recipe.save.keep) {}

bool SavedRun::is_finished() const { return fs::exists(directory_.model()); }

void SavedRun::expect_finished_run() const {
  // Runs that an earlier longgen finished have no state: of them the recipe alone is compared.
  const fs::path file = directory_.state_file();
  const RunState now = inputs(), saved = fs::exists(file) ? read_state(file) : now;
  const std::string differences =
      run_differences(load_recipe(directory_.recipe_file()), saved, recipe_, now);
  LG_CHECK(differences.empty(), directory_.path().string(),
           ": holds a finished run that began otherwise:\n", differences,
           "Restore these, or begin a new run with --force or another model.output.");
}

RunState SavedRun::inputs() const {
  RunState state = {.model_hash = hash_directory(recipe_.model.path),
                    .dataset_hash = dataset_hash_};
  const Recipe::Train& train = recipe_.train;
  if (train.has_teacher_directory()) state.teacher_hash = hash_directory(train.teacher);
  return state;
}

std::optional<Checkpoint> SavedRun::load_last(const RunState& expected, at::Device device) {
  std::optional<Checkpoint> checkpoint = store_.load_last(recipe_, expected, device);
  if (checkpoint) saved_step_ = checkpoint->state.step;
  return checkpoint;
}

void SavedRun::save(const RunState& state, const TrainableModel& model) {
  if (saved_step_ == state.step) return;
  expect_finite_weights(state, model, "no checkpoint is written");
  store_.save(recipe_, state, model);
  saved_step_ = state.step;
}

void SavedRun::finish(const RunState& state, const TrainableModel& model) {
  try {
    write_model(state, model);
  } catch (const Error& error) {
    LG_FAIL(error.what(), kept_steps(state, model));
  }
}

void SavedRun::expect_finite_weights(const RunState& state, const TrainableModel& model,
                                     const char* consequence) const {
  expect_finite(model.config(), model.masters(),
                detail::concat(directory_.path().string(), ": after step ", state.step),
                detail::concat("So ", consequence,
                               ". The steps were too large: try a smaller train.learning_rate, or "
                               "train.clip_norm = 1."));
}

void SavedRun::write_model(const RunState& state, const TrainableModel& model) const {
  expect_finite_weights(state, model, "no model is written");
  write_state(directory_.state_file(), state);
  AtomicDirectory folder(directory_.model(), /*replace=*/true);
  save_model(folder.path(), model.config(), model.masters(), stored_types_);
  copy_model_files(recipe_.model.path, folder.path());
  folder.commit();
}

/// Says where the steps since the last checkpoint are kept; nothing where they cannot be.
std::string SavedRun::kept_steps(const RunState& state, const TrainableModel& model) {
  try {
    save(state, model);
    return "\n  The trained weights are kept in " + store_.last()->string() +
           ", a model directory; --resume writes the model from them.";
  } catch (const Error&) {
    return "";  // the same disk is full, or the weights are not finite
  }
}

}  // namespace longgen
