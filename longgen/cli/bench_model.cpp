// longgen bench model: measures prefill, decode and a training step. Each measurement is a process
// of its own, so that peak memory is that of one variant, and rounds alternate between the
// variants, so that a change of the machine's speed meets them all.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/base/host.h"
#include "longgen/base/log.h"
#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/bench/machine.h"
#include "longgen/bench/model_report.h"
#include "longgen/bench/model_sample.h"
#include "longgen/cli/bench.h"
#include "longgen/cli/output.h"
#include "longgen/cli/training_options.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/engine/session.h"
#include "longgen/model/measured_plan.h"

namespace longgen {
namespace {

constexpr const char* kServing = "serving";
constexpr const char* kTraining = "training";

struct ModelCommand {
  std::string model, layers, sparse;
  ModelOptions model_options;
  std::vector<std::string> compare = {"model"}, measure = {"prefill", "decode"};
  int64_t tokens = 2048, decode_tokens = 32, rounds = 3, chunk = kDefaultPrefillChunk, batch = 1;
  TrainingMemory training;
  std::string plan_device;
  bool json = false;
  // These say, in the process of one measurement, what it measures.
  std::string sample, variant, cut;

  bool on_gpu() const { return gpu_index(model_options.device).has_value(); }
  bool measures(const std::string& part) const {
    return std::find(measure.begin(), measure.end(), part) != measure.end();
  }
};

/// Gives the model, as the hybrid that --layers and --sparse make of it where they are given.
ModelSubject subject_of(const ModelCommand& command) {
  ModelSubject subject = find_subject(command.model);
  if (!command.layers.empty()) {
    const std::string sparse = command.sparse.empty() ? "sink" : command.sparse;
    subject.config.layers = parse_layer_plan(command.layers, sparse, subject.config);
  }
  return subject;
}

int sample(const ModelCommand& command) {
  const ModelSubject subject = subject_of(command);
  const Computation computation = open_computation(command.model_options);
  const TrainingOptions training = command.training.parse();
  const SampleOptions options = {
      .dtype = computation.dtype,
      .device = computation.device,
      .tokens = command.tokens,
      .decode_tokens = command.decode_tokens,
      .chunk = command.chunk,
      .batch = command.batch,
      .prefill = command.measures("prefill"),
      .recompute = training.recompute,
      .offload = training.offload,
      .states_dtype = command.training.states == "bfloat16" ? at::kBFloat16 : at::kFloat};
  const ModelCut cut = find_cut(subject, command.variant, command.cut);
  Output output;
  output.write(dump_json(command.sample == kTraining ? sample_training(subject, cut, options)
                                                     : sample_serving(subject, cut, options)) +
               "\n");
  output.flush();
  return 0;
}

std::vector<std::string> sample_arguments(const ModelCommand& command, const std::string& sample,
                                          const std::string& variant, const std::string& cut) {
  std::vector<std::string> arguments = {
      this_program(),    "bench",
      "model",           command.model,
      "--sample",        sample,
      "--variant",       variant,
      "--cut",           cut,
      "--tokens",        std::to_string(command.tokens),
      "--decode-tokens", std::to_string(command.decode_tokens),
      "--chunk",         std::to_string(command.chunk),
      "--batch",         std::to_string(command.batch),
      "--measure",       command.measures("prefill") ? "prefill,decode" : "decode",
      "--recompute",     command.training.recompute,
      "--states",        command.training.states,
      "--offload",       command.training.offload,
      "--device",        command.model_options.device,
      "--dtype",         command.model_options.compute_dtype(),
      "--threads",       std::to_string(command.model_options.threads)};
  if (!command.layers.empty()) {
    arguments.insert(arguments.end(), {"--layers", command.layers});
  }
  if (!command.sparse.empty()) {
    arguments.insert(arguments.end(), {"--sparse", command.sparse});
  }
  return arguments;
}

/// Measures all parts of a cut that are asked for, each in a process. A part that cannot be
/// measured (out of memory) is left out, and `failed` says so.
OrderedJson sample_cut(const ModelCommand& command, const std::string& variant,
                       const std::string& cut, bool& failed) {
  OrderedJson sample;
  for (const char* const kind : {kServing, kTraining}) {
    const bool wanted = kind == std::string(kTraining)
                            ? command.measures("train")
                            : command.measures("prefill") || command.measures("decode");
    if (!wanted) continue;
    try {
      const std::string text = run_program(sample_arguments(command, kind, variant, cut));
      sample.update(OrderedJson(parse_json(text, "measurement")));
    } catch (const Error& error) {
      log_warning(detail::concat(kind, " of ", variant, " is left out: ", error.what()));
      failed = true;
    }
  }
  for (const char* part : {"prefill", "decode"}) {
    if (!command.measures(part)) sample.erase(part);
  }
  return sample;
}

/// Returns the planner's device of the GPU's name, or of --plan-device. There is none for the CPU,
/// whose speed the planner does not know.
std::optional<DeviceSpec> plan_device(const ModelCommand& command, const std::string& title) {
  if (!command.plan_device.empty()) return find_device(command.plan_device);
  if (!command.on_gpu()) return std::nullopt;
  return find_device_of_driver(title);
}

MeasuredWork measured_work(const ModelCommand& command, const ModelSubject& subject,
                           const std::string& title) {
  return {.subject = subject,
          .format = parse_number_format(command.model_options.compute_dtype()),
          .on_gpu = command.on_gpu(),
          .tokens = command.tokens,
          .decode_tokens = command.decode_tokens,
          .chunk = command.chunk,
          .batch = command.batch,
          .training = command.training.parse(),
          .device = plan_device(command, title)};
}

/// Returns summaries of all variants, in the order of --compare; a variant of which nothing could
/// be measured is left out.
std::vector<OrderedJson> measure(const ModelCommand& command, const MeasuredWork& work,
                                 bool& failed) {
  std::map<std::string, std::vector<OrderedJson>> rounds;
  for (int64_t round = 0; round < command.rounds; ++round) {
    for (const std::string& variant : command.compare) {
      std::vector<OrderedJson> cuts;
      for (const ModelCut& cut : cuts_of(work.subject, variant)) {
        log_info(detail::concat("round ", round + 1, " of ", command.rounds, ", ", variant,
                                work.subject.is_extrapolated ? ", " + cut.name : ""));
        cuts.push_back(sample_cut(command, variant, cut.name, failed));
      }
      const bool complete = std::none_of(cuts.begin(), cuts.end(),
                                         [](const OrderedJson& cut) { return cut.empty(); });
      if (!complete) continue;
      rounds[variant].push_back(
          combine_samples(cuts, variant_layers(variant, work.subject.config), work));
    }
  }
  std::vector<OrderedJson> variants;
  for (const std::string& variant : command.compare) {
    if (rounds[variant].empty()) continue;
    variants.push_back(summarize_variant(variant, rounds[variant], work));
  }
  LG_CHECK(!variants.empty(), "[bench model] nothing could be measured; why stands above.");
  return variants;
}

std::string heading(const ModelCommand& command, const MeasuredWork& work,
                    const std::string& title) {
  const ModelSubject& subject = work.subject;
  std::string text = detail::concat(
      command.model, subject.has_random_weights ? " with random weights" : "", ", ",
      command.batch > 1 ? detail::concat(command.batch, " sequences of ") : "",
      format_count(command.tokens), " tokens in chunks of ", format_count(command.chunk), ", ",
      command.model_options.compute_dtype(), ", ", title, ", median of ", command.rounds, "\n");
  if (subject.is_extrapolated) {
    text += detail::concat(
        "Extrapolated: models of one and two layers were measured; what a layer "
        "adds is taken ",
        subject.config.num_layers, " times.\n");
  }
  return text;
}

OrderedJson to_json(const ModelCommand& command, const MeasuredWork& work, const std::string& title,
                    const std::vector<OrderedJson>& variants) {
  return {{"model", command.model},
          {"random_weights", work.subject.has_random_weights},
          {"extrapolated", work.subject.is_extrapolated},
          {"dtype", command.model_options.compute_dtype()},
          {"device", command.model_options.device},
          {"device_name", title},
          {"plan_device", work.device ? OrderedJson(work.device->name) : OrderedJson()},
          {"chunk", command.chunk},
          {"decode_tokens", command.decode_tokens},
          {"batch", command.batch},
          {"recompute", command.training.recompute},
          {"states", command.training.states},
          {"offload", command.training.offload},
          {"rounds", command.rounds},
          {"variants", variants}};
}

/// Throws where something is wrong that can be known before anything is measured.
void check(const ModelCommand& command) {
  const TrainingOptions training = command.training.parse();
  LG_CHECK(parse_number_format(command.training.states) == NumberFormat::float32 ||
               command.model_options.compute_dtype() == "bfloat16",
           "--states bfloat16: needs --dtype bfloat16.");
  LG_CHECK(command.sparse.empty() || !command.layers.empty(),
           "--sparse says what layers outside --layers see: give --layers too.");
  LG_CHECK(training.offload == Offloading::none || command.on_gpu(),
           "--offload: layer inputs can be offloaded from a GPU only.");
  if (!command.plan_device.empty()) find_device(command.plan_device);
}

/// Refuses what does not fit: a process that is killed for memory, or one that swaps, measures
/// nothing. The planner's count is a lower bound on the CPU.
void check_memory(const ModelCommand& command, const MeasuredWork& work, at::Device device) {
  int64_t needed = 0;
  for (const std::string& variant : command.compare) {
    const bool serving = command.measures("prefill") || command.measures("decode");
    needed =
        std::max(needed, predicted_peak_bytes(variant, work, serving, command.measures("train")));
  }
  const MachineMemory host = machine_memory();
  const GpuMemory gpu = gpu_memory(device);
  const int64_t total = command.on_gpu() ? gpu.total : host.total_bytes;
  const int64_t available = command.on_gpu() ? gpu.free : host.available_bytes;
  const char* const place = command.on_gpu() ? "the GPU" : "this machine";
  if (total == 0) return;  // the system does not say
  LG_CHECK(needed <= total, "[bench model] ", command.model, " in ",
           command.model_options.compute_dtype(), " needs at least ", format_bytes(needed),
           " by longgen plan, and ", place, " has ", format_bytes(total),
           ". Choose a smaller model, fewer --tokens or --batch, other parts to --measure, or "
           "--dtype bfloat16.");
  if (needed <= available) return;
  log_warning(detail::concat(command.model, " in ", command.model_options.compute_dtype(),
                             " needs at least ", format_bytes(needed), " by longgen plan, and ",
                             place, " has ", format_bytes(available),
                             " free: it may swap or be killed."));
}

int bench(ModelCommand& command) {
  if (!command.sample.empty()) return sample(command);
  const ModelSubject subject = subject_of(command);
  check(command);
  const at::Device device = open_computation(command.model_options).device;
  command.chunk = prefill_chunk(command.chunk, device);
  const std::string title = device_title(device);
  const MeasuredWork work = measured_work(command, subject, title);
  check_memory(command, work, device);
  bool failed = false;
  const std::vector<OrderedJson> variants = measure(command, work, failed);
  Output output;
  output.write(command.json ? dump_json(to_json(command, work, title, variants)) + "\n"
                            : heading(command, work, title) + to_text(variants));
  output.flush();
  return failed ? 1 : 0;
}

void add_hidden_options(CLI::App* app, ModelCommand& command) {
  app->add_option("--sample", command.sample)->group("");
  app->add_option("--variant", command.variant)->group("");
  app->add_option("--cut", command.cut)->group("");
}

}  // namespace

void add_bench_model(CommandSet& commands, CLI::App* bench_app) {
  auto command = std::make_shared<ModelCommand>();
  CLI::App* const app =
      commands.add_part(bench_app, "model", "speed and memory of a model, and what plan predicts");
  app->add_option("MODEL", command->model,
                  "model directory, or a preset such as llama2-7b, which gets random weights")
      ->required();
  add_choices_option(app, "--measure", command->measure, {"prefill", "decode", "train"},
                     "prefill, decode, train (default prefill,decode)");
  add_count_option(app, "--tokens", command->tokens, 1,
                   "tokens of the prompt, and of a training step (default 2048)");
  add_count_option(app, "--decode-tokens", command->decode_tokens, 1,
                   "tokens decoded after the prompt (default 32)");
  add_count_option(app, "--batch", command->batch, 1, "sequences decoded together (default 1)");
  add_choices_option(app, "--compare", command->compare, {"model", "full", "hybrid"},
                     "variants of the model: model (as it is), full, hybrid (default model)");
  app->add_option("--layers", command->layers,
                  "measure the model as the hybrid with these full layers, as in convert")
      ->option_text("PLAN");
  app->add_option("--sparse", command->sparse,
                  "with --layers: pattern of the other layers (default sink)")
      ->option_text("PATTERN");
  add_count_option(app, "--rounds", command->rounds, 1,
                   "measurements of each variant, of which the median counts (default 3)");
  add_prefill_chunk_option(app, command->chunk);
  add_training_memory_options(app, command->training);
  app->add_option("--plan-device", command->plan_device,
                  "the planner's device to predict times for (default: by the GPU's name)")
      ->option_text("NAME");
  add_hidden_options(app, *command);
  add_model_options(app, command->model_options);
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return bench(*command); });
}

}  // namespace longgen
