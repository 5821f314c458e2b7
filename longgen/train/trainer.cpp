#include "longgen/train/trainer.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/model/convert.h"
#include "longgen/train/gradient_exchange.h"
#include "longgen/train/objective/alignment.h"
#include "longgen/train/recipe/hybrid_config.h"
#include "longgen/train/run_monitor.h"
#include "longgen/train/saved_run.h"
#include "longgen/train/skipped_steps.h"
#include "longgen/train/step.h"
#include "longgen/train/training_data.h"

namespace longgen {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Numbers below 1e-38 count as zero on every thread from now on. A model that is sure of its
/// tokens has gradients of that size, and processors take 20 times as long over them.
void flush_denormals() {
  const int num_threads = at::get_num_threads();
  at::parallel_for(0, num_threads, 1,
                   [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
  at::globalContext().setFlushDenormal(true);
}

/// Sets how this process computes.
void set_up_threads(const Recipe& recipe, const TrainRanks& ranks) {
  const int64_t threads = recipe.train.threads;
  const int64_t shared = std::max<int64_t>(1, default_threads() / ranks.num_local);
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : shared));
  flush_denormals();
}

/// Gives the share of each source: "books 78.0%, recall 22.0%".
std::string describe_sources(const std::vector<DataSource>& sources) {
  double sum = 0;
  for (const DataSource& source : sources) sum += source.weight;
  std::string text;
  for (const DataSource& source : sources) {
    char share[32];
    std::snprintf(share, sizeof(share), " %.1f%%", 100 * source.weight / sum);
    text += (text.empty() ? "" : ", ") + source.path + share;
  }
  return text;
}

std::string loss_text(double loss) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4f", loss);
  return text;
}

/// Gives "held-out loss 2.3456 (books 2.4012, recall 1.9870)".
std::string describe_held_out(const HeldOutLoss& held_out) {
  std::string sources;
  for (const SourceLoss& source : held_out.sources) {
    sources += (sources.empty() ? " (" : ", ") + source.name + " " + loss_text(source.loss);
  }
  return "held-out loss " + loss_text(held_out.mean) + sources + (sources.empty() ? "" : ")");
}

/// Goes through the steps of a run.
class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options)
      : recipe_(recipe),
        options_(options),
        device_(options.device),
        config_(hybrid_config(recipe)),
        data_(recipe, config_),
        saved_(recipe, data_.hash(),
               is_first() ? RunDirectory::Use::write : RunDirectory::Use::look) {
    check_teacher(recipe, config_);
    check_alignment(recipe, config_);
    summary_.total_steps = recipe.total_steps();
  }

  TrainSummary run() {
    if (already_finished()) return summary_;
    open_run();
    announce();
    if (options_.show_progress && is_first()) monitor_->show_progress(state_.tokens);
    const auto begin = Clock::now();
    const int64_t first_step = state_.step;
    while (state_.step < summary_.total_steps && !stopped()) {
      step();
      expect_progress(recipe_, state_, saved_);
      // A checkpoint in the middle of skipped steps would only push a better one out.
      const bool is_good = state_.skipped_in_a_row == 0;
      if (is_good && is_due(recipe_.save.every) && state_.step < summary_.total_steps) {
        save();
      }
    }
    monitor_->finish();
    summary_.seconds = seconds_since(begin);
    summarize_speed(state_.step - first_step);
    finish();
    return summary_;
  }

 private:
  Communicator* ranks() const { return options_.ranks.communicator; }
  /// Whether this process is the one that writes and tells.
  bool is_first() const { return ranks() == nullptr || ranks()->rank() == 0; }

  /// Whether this process is told to stop, or any of the ranks: they all stop after the same step.
  bool stopped() const {
    const auto stop = static_cast<std::byte>(options_.stop && *options_.stop);
    if (ranks() == nullptr) return stop != std::byte{0};
    std::vector<std::byte> all(static_cast<size_t>(ranks()->num_ranks()));
    std::vector<Bytes> places;
    for (std::byte& of_rank : all) places.emplace_back(&of_rank, 1);
    ranks()
        ->all_gather(detail::concat("stop after step ", state_.step), std::span(&stop, 1), places)
        .wait();
    return std::ranges::any_of(all, [](std::byte of_rank) { return of_rank != std::byte{0}; });
  }

  void tell(const std::string& message) const {
    if (is_first()) log_info(message);
  }

  void save() {
    if (is_first()) saved_.save(state_, *model_);
  }

  bool is_due(int64_t every) const { return every > 0 && state_.step % every == 0; }

  bool already_finished() {
    if (options_.replace || !saved_.is_finished()) return false;
    const RunDirectory& directory = saved_.directory();
    LG_CHECK(options_.resume, directory.path().string(),
             ": holds a finished run already. Give --force to train again, or another "
             "model.output.");
    saved_.expect_finished_run();
    tell(directory.path().string() + ": this run is finished");
    summary_.finished = true;
    summary_.steps = summary_.total_steps;
    summary_.tokens = summary_.total_steps * recipe_.tokens_per_step();
    summary_.model = directory.model();
    return true;
  }

  /// Opens model, state and logs: of the last checkpoint, or of a run that begins.
  void open_run() {
    const RunDirectory& directory = saved_.directory();
    LG_CHECK(options_.resume || options_.replace || !saved_.has_checkpoints(),
             directory.path().string(),
             ": holds checkpoints of a run. Give --resume to go on, --force to begin anew, or "
             "another model.output.");
    state_ = saved_.inputs();
    compare_ranks();
    if (is_first()) directory.remove_leftovers();
    const bool resumes = options_.resume && resume();
    if (!resumes) begin();
    compare_steps();
    monitor_.emplace(recipe_, device_);
    if (is_first()) {
      if (!resumes) directory.clear();
      write_file(directory.recipe_file(), dump_recipe(recipe_));
      monitor_->open_logs(directory, resumes ? state_.step : MetricsLog::kNewRun);
    }
    if (ranks() != nullptr) exchange_.emplace(*ranks(), model_->gradients());
    if (recipe_.train.offload == Offloading::layer_inputs) offload_.emplace(device_);
  }

  /// Throws Error, the same on every rank, where this run is not the same for all. No rank has
  /// changed anything of an earlier run before all have come here.
  void compare_ranks() const {
    if (ranks() == nullptr) return;
    std::vector<Fact> facts = options_.ranks.facts;
    facts.push_back({"recipe", dump_recipe(recipe_)});
    facts.push_back({"files of model.path", state_.model_hash});
    facts.push_back({"data", state_.dataset_hash});
    facts.push_back({"files of train.teacher", state_.teacher_hash});
    facts.push_back({"--resume and --force", options_.resume    ? "--resume"
                                             : options_.replace ? "--force"
                                                                : "neither"});
    const std::optional<fs::path> last = saved_.last_folder();
    facts.push_back({"last checkpoint in model.output", last ? last->filename().string() : "none"});
    expect_agreement(*ranks(), "what all ranks have alike", facts);
  }

  /// Waits until all have read what they begin with: the first one may then remove it.
  void compare_steps() const {
    if (ranks() == nullptr) return;
    expect_agreement(*ranks(), "the step to go on from",
                     {{"checkpoint to go on from", detail::concat("step ", state_.step)}});
  }

  /// False where there is no checkpoint to go on from.
  bool resume() {
    std::optional<Checkpoint> last = saved_.load_last(state_, device_);
    if (!last) return false;
    state_ = last->state;
    model_.emplace(config_, std::move(last->masters), std::move(last->moments),
                   scalar_type(recipe_.train.precision));
    open_teachers();
    tell(detail::concat("resumed after step ", state_.step));
    return true;
  }

  void begin() {
    model_.emplace(load_trainable(recipe_.model.path, config_,
                                  {.compute_dtype = scalar_type(recipe_.train.precision),
                                   .states_dtype = scalar_type(recipe_.train.states),
                                   .device = device_}));
    expect_finite(config_, model_->masters(),
                  recipe_.where("model.path") + ": " + recipe_.model.path,
                  "Nothing can be trained from these: import or convert the model anew.");
    open_teachers();
  }

  /// Opens what is learnt from beside the data.
  void open_teachers() {
    if (state_.step < recipe_.train.align_steps) {
      origin_.emplace(open_origin(recipe_, model_->decoder()));
    }
    if (recipe_.train.distils()) teacher_.emplace(open_teacher(recipe_, model_->decoder()));
  }

  void announce() const {
    tell(detail::concat("layers ", format_layers(config_.layers.full_layers(), config_.num_layers),
                        " full, context ", format_count(config_.context), ", ",
                        describe_rope_change(load_model_config(recipe_.model.path), config_), "; ",
                        format_count(summary_.total_steps, "step"), " of ",
                        format_count(recipe_.tokens_per_step(), "token")));
    if (!recipe_.data.sources.empty()) tell("data: " + describe_sources(recipe_.data.sources));
  }

  /// Takes one optimizer step and tells of it.
  void step() {
    const auto begin = Clock::now();
    const StepBatches samples = data_.batches(state_.step + 1);
    ++state_.step;
    state_.tokens += recipe_.tokens_per_step();
    if (state_.step > recipe_.train.align_steps) origin_.reset();
    const double rate = recipe_.schedule().learning_rate_at(state_.step);
    const StepResult result =
        train_step(*model_, samples.batches, samples.num_targets, state_.step, step_options(rate));
    LG_CHECK(result.weights > 0, recipe_.where(recipe_.path_key(0)), ": the samples of step ",
             state_.step,
             " have no token that counts: all with a next one are marked as not to be learnt, or "
             "have train.answer_weight = 0.");
    if (!result.applied && is_first()) warn_of_skipped_step(state_.step, result);
    summary_.skipped_steps += !result.applied;
    state_.skipped_in_a_row = result.applied ? 0 : state_.skipped_in_a_row + 1;
    note_loss(result.loss);
    monitor_->set_loss(result.loss);
    log_step(result, rate, seconds_since(begin));
    monitor_->update(state_.step, 1);
  }

  /// Keeps the first and the last loss; alignment's is of another kind.
  void note_loss(double loss) {
    if (origin_) return;
    if (!has_loss_) summary_.first_loss = loss;
    has_loss_ = true;
    summary_.last_loss = loss;
  }

  StepOptions step_options(double learning_rate) {
    const Recipe::Train& train = recipe_.train;
    return {.backward = {.objective = {.teacher = teacher_ ? &*teacher_ : nullptr,
                                       .distill_share = train.distill_share,
                                       .far_weight = train.far_weight},
                         .recompute = train.recompute,
                         .loss_chunk_rows = train.loss_chunk_rows,
                         .offload = offload_ ? &*offload_ : nullptr},
            .adamw = {.learning_rate = learning_rate,
                      .beta1 = train.beta1,
                      .beta2 = train.beta2,
                      .eps = train.eps,
                      // Weights that alignment gives no gradients stay as they are.
                      .weight_decay = origin_ ? 0 : train.weight_decay,
                      .seed = static_cast<uint64_t>(train.seed)},
            .clip_norm = train.clip_norm,
            .align_to = origin_ ? &*origin_ : nullptr,
            .exchange = exchange_ ? &*exchange_ : nullptr,
            .on_progress = [this](double share) { monitor_->update(state_.step, share); }};
  }

  void log_step(const StepResult& result, double learning_rate, double seconds) {
    const bool evaluates = is_due(recipe_.eval.every);
    const bool logs = is_due(recipe_.log.every) || state_.step == summary_.total_steps;
    if (!logs && !evaluates) return;
    StepRecord record = {.step = state_.step,
                         .loss = result.loss,
                         .learning_rate = learning_rate,
                         .grad_norm = result.gradient_norm,
                         .tokens = state_.tokens,
                         .tokens_per_s = static_cast<double>(recipe_.tokens_per_step()) / seconds,
                         .seconds = seconds,
                         .memory_bytes = monitor_->held_bytes()};
    if (origin_) {
      record.aligns = true;
    } else if (teacher_) {
      record.distill_loss = result.distill_loss;
    }
    if (evaluates) {
      HeldOutLoss held_out = data_.held_out_loss(model_->decoder(), ranks());
      tell(detail::concat("step ", state_.step, ": ", describe_held_out(held_out)));
      record.eval_loss = held_out.mean;
      record.eval_losses = std::move(held_out.sources);
    }
    monitor_->write(record);
  }

  void summarize_speed(int64_t steps) {
    const auto tokens = static_cast<double>(steps * recipe_.tokens_per_step());
    summary_.tokens_per_second = summary_.seconds > 0 ? tokens / summary_.seconds : 0;
  }

  void finish() {
    summary_.steps = state_.step;
    summary_.tokens = state_.tokens;
    summary_.peak_memory_bytes = monitor_->peak_bytes();
    if (state_.step < summary_.total_steps) return save();
    if (is_first()) saved_.finish(state_, *model_);
    summary_.finished = true;
    summary_.model = saved_.directory().model();
  }

  const Recipe& recipe_;
  const TrainOptions& options_;
  const at::Device device_;
  const ModelConfig config_;
  const TrainingData data_;
  SavedRun saved_;
  RunState state_;
  std::optional<TrainableModel> model_;
  std::optional<Decoder> origin_;  // while sparse layers are aligned with it
  std::optional<Teacher> teacher_;
  std::optional<LayerOffload> offload_;
  std::optional<GradientExchange> exchange_;
  std::optional<RunMonitor> monitor_;
  TrainSummary summary_;
  bool has_loss_ = false;
};

/// Throws Error where several ranks cannot train this yet.
void check_ranks(const Recipe& recipe, const Communicator& ranks) {
  const int num_ranks = ranks.num_ranks();
  LG_CHECK(recipe.train.accumulation >= num_ranks, recipe.where("train.accumulation"),
           ": expected at least ", num_ranks,
           " micro-batches a step, one for each of the ranks, found ", recipe.train.accumulation,
           ". Set train.accumulation to a multiple of ", num_ranks,
           " that divides train.batch_size, or start fewer ranks.");
  LG_CHECK(recipe.train.states == NumberFormat::float32, recipe.where("train.states"),
           ": several ranks add up gradients in float32, found bfloat16. Set train.states = "
           "\"float32\" (--set train.states=float32), or use one rank.");
}

}  // namespace

TrainSummary train(const Recipe& recipe, const TrainOptions& options) {
  if (options.ranks.communicator != nullptr) check_ranks(recipe, *options.ranks.communicator);
  LG_CHECK(!options.device.is_cuda() || recipe.train.precision == NumberFormat::bfloat16,
           recipe.where("train.precision"),
           ": on a GPU training computes in bfloat16 (its kernels take nothing else; weights, "
           "gradients and moments stay float32 unless train.states says otherwise), found float32. "
           "Set train.precision = \"bfloat16\" (--set train.precision=bfloat16), or use --device "
           "cpu.");
  LG_CHECK(options.device.is_cuda() || recipe.train.offload == Offloading::none,
           recipe.where("train.offload"),
           ": layer inputs can be offloaded from a GPU only. Set train.offload = \"none\" (--set "
           "train.offload=none), or use --device cuda.");
  set_up_threads(recipe, options.ranks);
  try {
    return Trainer(recipe, options).run();
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
