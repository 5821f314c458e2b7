// longgen plan: what a model will cost on a device, before anything is loaded.
#include "longgen/plan/plan.h"

#include <memory>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/training_options.h"
#include "longgen/engine/session.h"
#include "longgen/model/measured_plan.h"
#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/plan/presets.h"

namespace longgen {
namespace {

struct PlanCommand {
  std::string model, device = "h200", dtype = "bfloat16", layers, sparse = "sink", teacher;
  TrainingMemory training;
  bool far_weight = false, align = false;
  int64_t memory_bytes = 0;
  PlanRequest request;
  bool json = false;
};

/// Gives the hybrid that --layers and --sparse name, else the model's own, else the middle third.
LayerPlan hybrid_layers(const PlanCommand& command, const ModelConfig& config) {
  if (command.layers.empty() && config.is_hybrid()) return config.layers;
  const std::string layers = command.layers.empty() ? "middle:1/3" : command.layers;
  const std::string note = other_sparse_note(layers, command.sparse);
  if (!note.empty()) log_warning(note);
  return parse_layer_plan(layers, command.sparse, config);
}

/// Gives what --teacher and --far-weight ask for.
ObjectiveLoad objective(const PlanCommand& command, const ModelConfig& config) {
  ObjectiveLoad load = {.teacher = nullptr, .far_weight = command.far_weight};
  if (command.teacher.empty()) return load;
  load.teacher_is_self = command.teacher == "self";
  ModelConfig teacher = load.teacher_is_self ? config : preset_or_directory(command.teacher);
  if (load.teacher_is_self) teacher.layers = teacher.layers.without_sparse();
  load.teacher = std::make_shared<const ModelConfig>(std::move(teacher));
  return load;
}

int plan(PlanCommand& command) {
  PlanRequest& request = command.request;
  request.model = command.model;
  request.config = preset_or_directory(command.model);
  request.layers = hybrid_layers(command, request.config);
  if (request.context == 0) request.context = request.config.context;
  request.device = find_device(command.device);
  if (command.memory_bytes > 0) request.device.memory_bytes = command.memory_bytes;
  request.format = parse_number_format(command.dtype);
  request.training = command.training.parse();
  request.training.objective = objective(command, request.config);
  request.training.aligns = command.align;
  const at::Device device = request.device.is_cpu() ? at::kCPU : at::kCUDA;
  request.training.chunk_rows = default_loss_chunk_rows(device);
  request.prefill_chunk = prefill_chunk(request.prefill_chunk, device);
  const Plan result = make_plan(request);
  Output output;
  output.write(command.json ? dump_json(to_json(result)) + "\n" : to_text(result));
  output.flush();
  return 0;
}

}  // namespace

void add_plan(CommandSet& commands) {
  auto command = std::make_shared<PlanCommand>();
  CLI::App* const app = commands.add(CommandGroup::performance, "plan",
                                     "predict memory, work and time on a device, full and hybrid");
  app->add_option("MODEL", command->model, "model directory, or a preset such as llama2-7b")
      ->required();
  PlanRequest& request = command->request;
  request.prefill_chunk = kDefaultPrefillChunk;
  add_count_option(app, "--context", request.context, 1,
                   "tokens of a sequence (default: the model's context)");
  app->add_option("--device", command->device,
                  "h200, h100, a100-80g, ... (default h200; a wrong name lists all)")
      ->option_text("NAME");
  add_count_option(app, "--memory-bytes", command->memory_bytes, 1,
                   "the device's memory, if it has another size (80G, for example)");
  add_number_format_option(app, command->dtype, "compute precision (default bfloat16)");
  app->add_option("--layers", command->layers,
                  "full layers of the hybrid, as in convert (default: the model's own, else "
                  "middle:1/3)")
      ->option_text("PLAN");
  app->add_option("--sparse", command->sparse, "pattern of its other layers (default sink)")
      ->option_text("PATTERN");
  add_count_option(app, "--sequences", request.num_sequences, 1,
                   "sequences served at once (default 1)");
  add_count_option(app, "--host-cache", request.host_cache_bytes, 0,
                   "memory of the host for prefixes, as of serve (64G, for example)");
  add_prefill_chunk_option(app, request.prefill_chunk);
  add_training_memory_options(app, command->training);
  app->add_option("--teacher", command->teacher,
                  "training learns from this model, too: self, a directory or a preset")
      ->option_text("MODEL");
  app->add_flag("--far-weight", command->far_weight,
                "training weighs tokens by what far context gives");
  app->add_flag("--align", command->align,
                "training begins with a stage in which sparse layers learn from full ones");
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return plan(*command); });
}

}  // namespace longgen
