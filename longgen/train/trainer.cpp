#include "longgen/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/process.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/data/packing.h"
#include "longgen/data/token_dataset.h"
#include "longgen/model/convert.h"
#include "longgen/model/import.h"
#include "longgen/model/model_directory.h"
#include "longgen/ops/gpu_memory.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/train/batches.h"
#include "longgen/train/checkpoint.h"
#include "longgen/train/event_file.h"
#include "longgen/train/metrics_log.h"
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
  named("architecture.layers", [&] { return parse_full_layers(wanted.layers, model.num_layers); });
  named("architecture.sparse",
        [&] { return parse_layer_plan(wanted.layers, wanted.sparse, model.num_layers); });
  return named("architecture.rope", [&] {
    return make_hybrid(model, {.layers = wanted.layers,
                               .sparse = wanted.sparse,
                               .context = wanted.context,
                               .rope = wanted.rope,
                               .purpose = RopePurpose::kTraining});
  });
}

/// "float32", as the model that the run begins with is stored.
at::ScalarType stored_dtype(const ModelConfig& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto found = config.raw.find(key);
    if (found == config.raw.end() || !found->is_string()) continue;
    if (*found == "bfloat16") return at::kBFloat16;
    if (*found == "float16") return at::kHalf;
  }
  return at::kFloat;
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
        device_(options.on_gpu ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU)),
        config_(hybrid_config(recipe)),
        dataset_(TokenDataset::open(recipe.data.path, "train")),
        packing_(dataset_, {recipe.data.sequence_length, recipe.data.packing,
                            static_cast<uint64_t>(recipe.data.seed)}) {
    const int64_t threads = recipe.train.threads;
    at::set_num_threads(threads > 0
                            ? static_cast<int>(threads)
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
    flush_denormals();
    dataset_.expect_tokenizer(Tokenizer::load(recipe.model.path).hash());
    LG_CHECK(dataset_.vocab_size() <= config_.vocab_size, recipe.where("data.path"),
             ": the dataset has tokens up to ", dataset_.vocab_size() - 1,
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
        "layers ", format_layers(config_.layers.full_layers, config_.num_layers), " full, context ",
        format_count(config_.context), ", ",
        describe_rope_change(load_model_config(recipe_.model.path).rope, config_.rope), "; ",
        format_count(summary_.total_steps), " steps of ", format_count(recipe_.tokens_per_step()),
        " tokens"));
    std::optional<Progress> progress;
    if (options_.show_progress) {
      progress.emplace("extend", summary_.total_steps, "steps", state_.state.step);
    }
    const auto begin = Clock::now();
    first_step_ = state_.state.step;
    while (state_.state.step < summary_.total_steps && !stopped()) {
      const std::string note = step();
      if (progress) progress->update(state_.state.step, note);
      if (due(recipe_.save.every) && state_.state.step < summary_.total_steps) save();
    }
    if (progress) progress->finish();
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
    directory_->expect_recipe(recipe_);
    log_info(directory_->path().string() + ": this run is finished");
    summary_.finished = true;
    summary_.steps = summary_.total_steps;
    summary_.tokens = summary_.total_steps * recipe_.tokens_per_step();
    summary_.model = directory_->model();
    return true;
  }

  void start() {
    LG_CHECK(options_.resume || options_.replace || store_->empty(), directory_->path().string(),
             ": holds checkpoints of a run. Give --resume to go on, --force to begin anew, or "
             "another model.output.");
    directory_->remove_leftovers();
    const RunState expected = {.step = 0,
                               .tokens = 0,
                               .model_hash = hash_directory(recipe_.model.path),
                               .dataset_hash = dataset_.hash()};
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
    metrics_.emplace(directory_->metrics(), resume_step);
    if (recipe_.log.tensorboard) events_.emplace(directory_->tensorboard(), resume_step);
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

  /// One optimizer step; returns the note of the progress bar.
  std::string step() {
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
    if (!result.is_finite()) skip_step(result);
    const double loss = result.loss;
    if (state_.state.step == first_step_ + 1) summary_.first_loss = loss;
    summary_.last_loss = loss;
    const double seconds = seconds_since(begin);
    log_step(loss, result.gradient_norm, rate, seconds);
    const double speed = static_cast<double>(recipe_.tokens_per_step()) / seconds;
    return "loss " + fixed(loss, "%.4f") + ", " + fixed(speed, "%.0f") + " tokens/s, " +
           format_bytes(held_bytes());
  }

  int64_t held_bytes() const { return options_.on_gpu ? gpu_memory().reserved : memory_bytes(); }

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
            .clip_norm = recipe_.train.clip_norm};
  }

  void skip_step(const StepResult& result) {
    ++summary_.skipped_steps;
    log_warning(detail::concat("step ", state_.state.step, ": loss ", result.loss,
                               ", gradient norm ", result.gradient_norm,
                               ": not finite, so this step changes nothing"));
  }

  void log_step(double loss, double norm, double rate, double seconds) {
    const int64_t step = state_.state.step;
    const bool logs = due(recipe_.log.every) || step == summary_.total_steps;
    const bool evaluates = due(recipe_.eval.every);
    if (!logs && !evaluates) return;
    const double speed = static_cast<double>(recipe_.tokens_per_step()) / seconds;
    OrderedJson line = {{"step", step},
                        {"loss", loss},
                        {"learning_rate", rate},
                        {"grad_norm", norm},
                        {"tokens", state_.state.tokens},
                        {"tokens_per_s", speed},
                        {"seconds", seconds},
                        {"memory_bytes", held_bytes()}};
    std::vector<Scalar> scalars = {{"train/loss", loss},
                                   {"train/learning_rate", rate},
                                   {"train/grad_norm", norm},
                                   {"train/tokens_per_s", speed}};
    if (evaluates) {
      const double held_out = held_out_loss();
      line["eval_loss"] = held_out;
      scalars.push_back({"eval/loss", held_out});
    }
    metrics_->write(line);
    if (events_) events_->write(step, scalars);
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
    store_->save(recipe_, config_, state_);
    saved_step_ = state_.state.step;
  }

  void finish() {
    summary_.steps = state_.state.step;
    summary_.tokens = state_.state.tokens;
    summary_.peak_memory_bytes = options_.on_gpu ? gpu_memory().peak_reserved : peak_memory_bytes();
    if (state_.state.step < summary_.total_steps) {
      save();
      return;
    }
    AtomicDirectory model(directory_->model(), /*replace=*/true);
    save_model(model.path(), config_, state_.masters, stored_dtype(config_));
    copy_tokenizer_files(recipe_.model.path, model.path());
    model.commit();
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
  std::optional<MetricsLog> metrics_;
  std::optional<EventFile> events_;
  TrainSummary summary_;
};

}  // namespace

TrainSummary train(const Recipe& recipe, const TrainOptions& options) {
  LG_CHECK(!options.on_gpu || recipe.train.precision == Precision::kBfloat16,
           recipe.where("train.precision"),
           ": on a GPU training computes in bfloat16 (its kernels take nothing else; weights, "
           "gradients and moments stay float32 unless train.states says otherwise), found float32. "
           "Set train.precision = \"bfloat16\" (--set train.precision=bfloat16), or use --device "
           "cpu.");
  LG_CHECK(options.on_gpu || recipe.train.offload == Offload::kNone, recipe.where("train.offload"),
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
