#include "longgen/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/process.h"
#include "longgen/base/progress.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/data/packing.h"
#include "longgen/data/token_dataset.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/import/model_files.h"
#include "longgen/model/convert.h"
#include "longgen/model/model_directory.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/train/batches.h"
#include "longgen/train/checkpoint.h"
#include "longgen/train/log/step_log.h"
#include "longgen/train/run_directory.h"
#include "longgen/train/step.h"

namespace longgen {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string fixed(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

ModelConfig hybrid_config(const Recipe& recipe) {
  const ModelConfig model = load_model_config(recipe.model.path);
  const auto& wanted = recipe.architecture;
  const auto named = [&](const char* key, const auto& make) {
    try {
      return make();
    } catch (const Error& error) {
      LG_FAIL(recipe.where(key), ": ", error.what());
    }
  };
  named("architecture.layers",
        [&] { return parse_layer_plan(wanted.layers, "sink", model.layers); });
  named("architecture.sparse",
        [&] { return parse_layer_plan(wanted.layers, wanted.sparse, model.layers); });
  return named("architecture.rope", [&] {
    return make_hybrid(model, {.layers = wanted.layers,
                               .sparse = wanted.sparse,
                               .context = wanted.context,
                               .rope = wanted.rope,
                               .purpose = RopePurpose::kTraining});
  });
}

/// Numbers below 1e-38 count as zero on every thread from now on. A model that is sure of its
/// tokens has gradients of that size, and processors take 20 times as long over them.
void flush_denormals() {
  const int num_threads = at::get_num_threads();
  at::parallel_for(0, num_threads, 1,
                   [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
  at::globalContext().setFlushDenormal(true);
}

class Run {
 public:
  Run(const Recipe& recipe, const TrainOptions& options)
      : recipe_(recipe),
        options_(options),
        has_masters_(recipe.train.precision != recipe.train.states),
        device_(options.device),
        config_(hybrid_config(recipe)),
        stored_types_(stored_types(recipe.model.path)),
        dataset_(TokenDataset::open(recipe.data.path, "train")),
        packing_(dataset_, {recipe.data.sequence_length, recipe.data.packing,
                            static_cast<uint64_t>(recipe.data.seed)}) {
    const int64_t threads = recipe.train.threads;
    at::set_num_threads(static_cast<int>(threads > 0 ? threads : default_threads()));
    flush_denormals();
    dataset_.expect_tokenizer(Tokenizer::load(recipe.model.path).hash());
    LG_CHECK(dataset_.largest_id() < config_.vocab_size, recipe.where("data.path"),
             ": the dataset has tokens up to ", dataset_.largest_id(),
             ", but the model a vocabulary of ", config_.vocab_size, ".");
    summary_.total_steps = recipe.total_steps();
    if (recipe.eval.every > 0) open_held_out();
  }

  TrainSummary run() {
    directory_.emplace(recipe_);
    store_.emplace(directory_->checkpoints(), recipe_.save.keep);
    if (already_finished()) return summary_;
    start();
    log_info(detail::concat(
        "layers ", format_layers(config_.layers.full_layers(), config_.num_layers),
        " full, context ", format_count(config_.context), ", ",
        describe_rope_change(load_model_config(recipe_.model.path).rope, config_.rope), "; ",
        format_count(summary_.total_steps, "step"), " of ",
        format_count(recipe_.tokens_per_step(), "token")));
    if (options_.show_progress) {
      progress_.emplace("extend", summary_.total_steps * recipe_.tokens_per_step(), "tokens",
                        ProgressOptions{.already_done = state_.state.tokens});
    }
    const auto begin = Clock::now();
    first_step_ = state_.state.step;
    while (state_.state.step < summary_.total_steps && !stopped()) {
      step();
      expect_progress();
      // A checkpoint in the middle of skipped steps would only push a better one out.
      const bool good = state_.state.skipped_in_a_row == 0;
      if (good && due(recipe_.save.every) && state_.state.step < summary_.total_steps) save();
    }
    if (progress_) progress_->finish();
    summary_.seconds = seconds_since(begin);
    const auto tokens =
        static_cast<double>((state_.state.step - first_step_) * recipe_.tokens_per_step());
    summary_.tokens_per_second = summary_.seconds > 0 ? tokens / summary_.seconds : 0;
    finish();
    return summary_;
  }

 private:
  bool stopped() const { return options_.stop && *options_.stop; }
  bool due(int64_t every) const { return every > 0 && state_.state.step % every == 0; }

  void open_held_out() {
    held_out_.emplace(TokenDataset::open(recipe_.data.path, "held_out"));
    LG_CHECK(held_out_->num_tokens() >= recipe_.data.sequence_length, recipe_.where("eval.every"),
             ": the dataset's held-out part has ", held_out_->num_tokens(),
             " tokens, but one "
             "sequence takes ",
             recipe_.data.sequence_length,
             ". Prepare the data with a larger --held-out, or set eval.every = 0.");
    held_out_packing_.emplace(
        *held_out_, PackingOptions{recipe_.data.sequence_length, recipe_.data.packing, 0});
  }

  bool already_finished() {
    if (options_.replace || !fs::exists(directory_->model())) return false;
    LG_CHECK(
        options_.resume, directory_->path().string(),
        ": holds a finished run already. Give --force to train again, or another model.output.");
    expect_finished_run();
    log_info(directory_->path().string() + ": this run is finished");
    summary_.finished = true;
    summary_.steps = summary_.total_steps;
    summary_.tokens = summary_.total_steps * recipe_.tokens_per_step();
    summary_.model = directory_->model();
    return true;
  }

  /// The finished run here is the one that the recipe, the model and the data would give.
  void expect_finished_run() const {
    // Runs that an earlier longgen finished have no state: of them the recipe alone is compared.
    const fs::path file = directory_->state_file();
    const RunState now = inputs(), saved = fs::exists(file) ? read_state(file) : now;
    const std::string differences =
        run_differences(load_recipe(directory_->recipe_file()), saved, recipe_, now);
    LG_CHECK(differences.empty(), directory_->path().string(),
             ": holds a finished run that began otherwise:\n", differences,
             "Restore these, or begin a new run with --force or another model.output.");
  }

  /// The state before the first step.
  RunState inputs() const {
    return {.model_hash = hash_directory(recipe_.model.path), .dataset_hash = dataset_.hash()};
  }

  void start() {
    LG_CHECK(options_.resume || options_.replace || store_->empty(), directory_->path().string(),
             ": holds checkpoints of a run. Give --resume to go on, --force to begin anew, or "
             "another model.output.");
    directory_->remove_leftovers();
    const RunState expected = inputs();
    std::optional<Checkpoint> saved;
    if (options_.resume) saved = store_->load_last(recipe_, expected, device_);
    if (saved) {
      state_ = std::move(*saved);
      saved_step_ = state_.state.step;
      log_info(detail::concat("resumed after step ", state_.state.step));
    } else {
      state_.state = expected;
      state_.masters =
          load_model(recipe_.model.path, {.dtype = states_dtype(recipe_), .device = device_})
              .weights();
      expect_finite(config_, state_.masters,
                    recipe_.where("model.path") + ": " + recipe_.model.path,
                    "Nothing can be trained from these: import or convert the model anew.");
      state_.optimizer = make_adamw_state(state_.masters);
      directory_->clear();
    }
    open_logs(saved ? state_.state.step : MetricsLog::kNewRun);
    if (recipe_.train.offload == Offload::kLayerInputs) offload_.emplace(device_);
    gradients_ = zeros_like(state_.masters, states_dtype(recipe_));
    make_decoder();
  }

  void open_logs(int64_t resume_step) {
    write_file(directory_->recipe_file(), dump_recipe(recipe_));
    std::optional<fs::path> tensorboard;
    if (recipe_.log.tensorboard) tensorboard = directory_->tensorboard();
    log_.emplace(directory_->metrics(), tensorboard, resume_step);
  }

  /// The decoder that computes: on the masters themselves, or on a bf16 copy.
  void make_decoder() {
    ModelWeights weights =
        has_masters_ ? converted(state_.masters, at::kBFloat16, device_) : state_.masters;
    require_gradients(weights);
    decoder_.emplace(config_, std::move(weights));
  }

  std::vector<Sample> samples_of_step(int64_t step) const {
    std::vector<Sample> samples;
    for (int64_t i = 0; i < recipe_.train.batch_size; ++i) {
      samples.push_back(packing_.sample(step * recipe_.train.batch_size + i));
    }
    return samples;
  }

  /// One optimizer step.
  void step() {
    const auto begin = Clock::now();
    const std::vector<Sample> samples = samples_of_step(state_.state.step);
    const int64_t targets = num_targets(samples);
    LG_CHECK(targets > 0, recipe_.where("data.path"), ": the samples of step ",
             state_.state.step + 1, " have no token to predict.");
    const int64_t per_part = recipe_.train.batch_size / recipe_.train.accumulation;
    std::vector<MicroBatch> batches;
    for (int64_t part = 0; part < recipe_.train.accumulation; ++part) {
      const auto some = std::span(samples).subspan(part * per_part, per_part);
      batches.push_back(make_batch(some, recipe_.data.mask));
    }
    ++state_.state.step;
    state_.state.tokens += recipe_.tokens_per_step();
    const double rate = recipe_.schedule().learning_rate_at(state_.state.step);
    const StepResult result = train_step({*decoder_, state_.masters, state_.optimizer, gradients_},
                                         batches, targets, state_.state.step, step_options(rate));
    if (result.applied) {
      state_.state.skipped_in_a_row = 0;
    } else {
      skip_step(result);
    }
    const double loss = result.loss;
    if (state_.state.step == first_step_ + 1) summary_.first_loss = loss;
    summary_.last_loss = loss;
    last_note_ = ", loss " + fixed(loss, "%.4f") + ", " + format_bytes(held_bytes());
    const double seconds = seconds_since(begin);
    const StepRecord record = {
        .step = state_.state.step,
        .loss = loss,
        .learning_rate = rate,
        .grad_norm = result.gradient_norm,
        .tokens = state_.state.tokens,
        .tokens_per_s = static_cast<double>(recipe_.tokens_per_step()) / seconds,
        .seconds = seconds,
        .memory_bytes = held_bytes()};
    log_step(record);
    show_progress(1);
  }

  /// `share`: of the step under way.
  void show_progress(double share) {
    if (!progress_) return;
    const double done_steps = static_cast<double>(state_.state.step - 1) + share;
    progress_->update(
        static_cast<int64_t>(done_steps * static_cast<double>(recipe_.tokens_per_step())),
        detail::concat("step ", state_.state.step, "/", summary_.total_steps, last_note_));
  }

  int64_t held_bytes() const {
    return device_.is_cuda() ? gpu_memory(device_).reserved : memory_bytes();
  }

  StepOptions step_options(double learning_rate) {
    return {.backward = {.recompute = recipe_.train.recompute,
                         .loss_chunk_rows = recipe_.train.loss_chunk_rows,
                         .offload = offload_ ? &*offload_ : nullptr},
            .adamw = {.learning_rate = learning_rate,
                      .beta1 = recipe_.train.beta1,
                      .beta2 = recipe_.train.beta2,
                      .eps = recipe_.train.eps,
                      .weight_decay = recipe_.train.weight_decay,
                      .seed = static_cast<uint64_t>(recipe_.train.seed)},
            .clip_norm = recipe_.train.clip_norm,
            .on_progress = [this](double share) { show_progress(share); }};
  }

  void skip_step(const StepResult& result) {
    ++summary_.skipped_steps;
    ++state_.state.skipped_in_a_row;
    const bool finite = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
    log_warning(detail::concat("step ", state_.state.step, ": loss ", result.loss,
                               ", gradient norm ", result.gradient_norm, ": ",
                               finite ? "beyond what AdamW's moments hold" : "not finite",
                               ", so this step changes nothing"));
  }

  /// Throws where the run has skipped so many steps that it will not recover, or every one.
  void expect_progress() const {
    const int64_t row = state_.state.skipped_in_a_row, step = state_.state.step;
    if (row < std::min(recipe_.train.max_skipped_steps, summary_.total_steps)) return;
    const std::optional<fs::path> last = store_->last();
    LG_FAIL(recipe_.where("train.max_skipped_steps"), ": ",
            row == 1 ? "step " : detail::concat("steps ", step - row + 1, " to "), step,
            " gave a loss or a gradient that is not finite and changed nothing, so the run stops; "
            "no model is written.",
            last ? "\n  The last checkpoint, " + last->string() + ", is from before them."
                 : "\n  There is no checkpoint of this run.",
            row == step
                ? "\n  No step was finite. Likely the model itself is not sound in this precision: "
                  "does `longgen eval perplexity` give a number for model.path? Then see "
                  "architecture.rope and data.path."
                : "\n  Likely the steps before them were too large: a smaller train.learning_rate, "
                  "a longer train.warmup_steps, or train.clip_norm = 1.");
  }

  void log_step(StepRecord record) {
    const bool logs = due(recipe_.log.every) || record.step == summary_.total_steps;
    const bool evaluates = due(recipe_.eval.every);
    if (!logs && !evaluates) return;
    if (evaluates) record.eval_loss = held_out_loss();
    log_->write(record);
  }

  double held_out_loss() const {
    double sum = 0;
    int64_t targets = 0;
    for (int64_t i = 0; i < recipe_.eval.sequences; ++i) {
      const Sample sample = held_out_packing_->sample(i);
      sum += loss_of(*decoder_, make_batch(std::span(&sample, 1), recipe_.data.mask),
                     recipe_.train.loss_chunk_rows);
      targets += num_targets(std::span(&sample, 1));
    }
    return targets > 0 ? sum / static_cast<double>(targets) : NAN;
  }

  void save() {
    if (saved_step_ == state_.state.step) return;  // stopped just after it
    expect_finite_weights("no checkpoint is written");
    store_->save(recipe_, config_, state_);
    saved_step_ = state_.state.step;
  }

  void expect_finite_weights(const std::string& consequence) const {
    expect_finite(config_, state_.masters,
                  detail::concat(directory_->path().string(), ": after step ", state_.state.step),
                  "So " + consequence +
                      ". The steps were too large: try a smaller train.learning_rate, or "
                      "train.clip_norm = 1.");
  }

  void write_model() const {
    expect_finite_weights("no model is written");
    write_state(directory_->state_file(), state_.state);
    AtomicDirectory model(directory_->model(), /*replace=*/true);
    save_model(model.path(), config_, state_.masters, stored_types_);
    copy_model_files(recipe_.model.path, model.path());
    model.commit();
  }

  /// What to say where the model could not be written: the steps since the last checkpoint are
  /// kept, if that is possible.
  std::string kept_steps() {
    try {
      save();
      return "\n  The trained weights are kept in " + store_->last()->string() +
             ", a model directory; --resume writes the model from them.";
    } catch (const Error&) {
      return "";  // the same disk is full, or the weights are not finite
    }
  }

  void finish() {
    summary_.steps = state_.state.step;
    summary_.tokens = state_.state.tokens;
    summary_.peak_memory_bytes =
        device_.is_cuda() ? gpu_memory(device_).peak_reserved : peak_memory_bytes();
    if (state_.state.step < summary_.total_steps) {
      save();
      return;
    }
    try {
      write_model();
    } catch (const Error& error) {
      LG_FAIL(error.what(), kept_steps());
    }
    summary_.finished = true;
    summary_.model = directory_->model();
  }

  const Recipe& recipe_;
  const TrainOptions& options_;
  const bool has_masters_;  // in fp32, beside the weights that compute
  const at::Device device_;
  std::optional<RunDirectory> directory_;
  std::optional<CheckpointStore> store_;
  ModelConfig config_;
  const StoredTypes
      stored_types_;  // of the model that the run begins with, and of the one it makes
  TokenDataset dataset_;
  Packing packing_;
  std::optional<TokenDataset> held_out_;
  std::optional<Packing> held_out_packing_;
  Checkpoint state_;
  int64_t first_step_ = 0;   // done before this call
  int64_t saved_step_ = -1;  // of the last checkpoint
  std::optional<Decoder> decoder_;
  ModelWeights gradients_;
  std::optional<LayerOffload> offload_;
  std::optional<StepLog> log_;
  std::optional<Progress> progress_;
  std::string last_note_;  // of the last step, for the progress bar
  TrainSummary summary_;
};

}  // namespace

TrainSummary train(const Recipe& recipe, const TrainOptions& options) {
  LG_CHECK(!options.device.is_cuda() || recipe.train.precision == Precision::kBfloat16,
           recipe.where("train.precision"),
           ": on a GPU training computes in bfloat16 (its kernels take nothing else; weights, "
           "gradients and moments stay float32 unless train.states says otherwise), found float32. "
           "Set train.precision = \"bfloat16\" (--set train.precision=bfloat16), or use --device "
           "cpu.");
  LG_CHECK(options.device.is_cuda() || recipe.train.offload == Offload::kNone,
           recipe.where("train.offload"),
           ": layer inputs can be offloaded from a GPU only. Set train.offload = \"none\" (--set "
           "train.offload=none), or use --device cuda.");
  try {
    return Run(recipe, options).run();
  } catch (const c10::OutOfMemoryError&) {
    LG_FAIL(
        out_of_gpu_memory(),
        "\n  Smaller parts of a step need less: a larger train.accumulation, down to one "
        "sequence at a time; then train.recompute = \"layers\", a smaller train.loss_chunk_rows, "
        "train.offload = \"layer_inputs\", a shorter data.sequence_length. Weights, gradients and "
        "moments alone take 18 bytes a "
        "parameter, or 8 with train.states = \"bfloat16\". `longgen plan` predicts all of it.");
  }
}

}  // namespace longgen
