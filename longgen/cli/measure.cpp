// longgen measure: which layers need to see everything.
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/base/allocation.h"
#include "longgen/base/check.h"
#include "longgen/base/folder_lock.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/document_options.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/shell_quote.h"
#include "longgen/measure/measured_variants.h"
#include "longgen/measure/measurement.h"
#include "longgen/measure/report_page.h"
#include "longgen/model/model_path.h"
#include "longgen/report/model_names.h"
#include "longgen/report/report_files.h"

namespace longgen {
namespace {

struct MeasureCommand {
  std::string model, sparse = "sink", out, html, command_line;
  std::optional<double> within;
  MeasurementOptions options;
  ModelOptions model_options;
  int64_t full = 0;
  bool gates = false, restart = false, json = false, quiet = false;
};

ChoiceOptions choice_options(const MeasureCommand& command, const VariantUnits& units) {
  if (command.within) return {.num_full = 0, .within = command.within};
  const int64_t fifth = default_num_full(units.size() / units.per_layer) * units.per_layer;
  const int64_t num_full = command.full > 0 ? command.full : fifth;
  LG_CHECK(num_full <= units.size(), "--full: expected at most ", units.size(), ", the ",
           units.by_head() ? "KV heads" : "layers", " that the model can make sparse, found ",
           num_full, ".");
  return {.num_full = num_full, .within = {}};
}

ModelConfig load_reference_config(const std::string& model) {
  const ModelConfig config = load_model_config(model);
  if (config.is_hybrid()) {
    log_info(model +
             " is a hybrid; it is measured as the model with its weights and every layer full");
  }
  return with_every_layer_full(config);
}

/// Says all that decides the values, with how they are computed.
OrderedJson all_settings(const MeasureCommand& command, const std::vector<MeasureSample>& samples) {
  OrderedJson settings = settings_json(command.options, samples);
  settings["dtype"] = command.model_options.compute_dtype();
  settings["device"] = gpu_index(command.model_options.device) ? "cuda" : "cpu";
  settings["version"] = LONGGEN_VERSION;
  return settings;
}

struct Measurement {
  LayerChoice choice;
  std::optional<GateSlopes> gates;
};

/// Runs the measurement, with its bar.
Measurement measure_and_choose(const MeasureCommand& command, const ModelConfig& config,
                               const VariantUnits& units, const ChoiceOptions& options,
                               std::vector<MeasureSample> samples, MeasureJournal& journal) {
  const int64_t num_variants =
      num_variants_to_measure(units.size(), options.within ? 1 : options.num_full);
  const auto total = static_cast<int64_t>(samples.size()) * (num_variants + command.gates);
  const int64_t known = journal.num_variants() + (command.gates ? journal.num_gate_passes() : 0);
  std::optional<Progress> progress;
  if (!command.quiet) {
    progress.emplace("measure", total, "variants",
                     ProgressOptions{.already_done = std::min(total, known)});
  }
  const auto load = [&] {
    const Decoder decoder = load_decoder(command.model, command.model_options);
    return Decoder(config, decoder.weights());
  };
  const auto on_progress = [&](int64_t done) {
    if (progress) progress->update(std::min(done, total));
  };
  MeasuredVariants variants({.units = units,
                             .samples = std::move(samples),
                             .load = load,
                             .on_progress = on_progress,
                             .stop = &interrupted()},
                            journal);
  Measurement found = {choose_layers(variants, units.candidates, options), {}};
  if (command.gates) found.gates = variants.gate_slopes();
  if (progress) progress->finish();
  return found;
}

fs::path plan_file(const MeasureCommand& command) { return fs::path(command.out) / "plan.json"; }

std::string next_command(const MeasureCommand& command, const MeasureReport& report) {
  return "longgen convert " + shell_quote(command.model) + " OUT --layers " +
         shell_quote("measured:" + plan_file(command).string()) + " --sparse " +
         shell_quote(report.sparse);
}

void print_report(const MeasureCommand& command, const MeasureReport& report) {
  const std::string next = report.by_head() ? "" : next_command(command, report);
  Output output;
  if (command.json) {
    OrderedJson json = to_json(report);
    if (!next.empty()) json["next"] = next;
    output.write(dump_json(json) + "\n");
  } else {
    output.write(to_text(report) + (next.empty() ? "" : "next: " + next + "\n"));
  }
  output.flush();
}

/// Checks what was given before anything is read, and fills in what was left to the program.
void complete(MeasureCommand& command) {
  MeasurementOptions& options = command.options;
  expect_documents(options.source);
  LG_CHECK(command.full == 0 || !command.within,
           "--full says how many layers stay full, --within what they may lose: give one of them.");
  options.sparse = Pattern::parse_sparse(command.sparse);
  options.model = command.model;
  expect_model_directory(command.model);
  try_report_folder(command.out);
  try_html_file(command.html);
  if (options.sequences == 0) options.sequences = gpu_index(command.model_options.device) ? 8 : 2;
}

int measure(MeasureCommand& command) {
  complete(command);
  const FolderLock lock(command.out);
  LG_CHECK(!lock.held_by_another(), command.out,
           ": another longgen measure is writing there. Wait for it, or give another --out.");
  MeasurementOptions& options = command.options;
  const ModelConfig config = load_reference_config(command.model);
  const VariantUnits units = units_of(config, options.sparse, options.by_head);
  LG_CHECK(!command.gates || units.size() > 1,
           "--gates: the model has one layer that can be made sparse, and nothing to rank. Measure "
           "without --gates.");
  const ChoiceOptions choice = choice_options(command, units);
  if (options.length == 0) options.length = config.context;
  catch_interrupts();
  keep_freed_memory();
  std::vector<MeasureSample> samples =
      read_samples(options, config.num_kv_heads, open_tokenizer(command.model));
  const OrderedJson settings = all_settings(command, samples);
  MeasureJournal journal = open_journal(command.out, options, config, settings, command.restart);
  Measurement found =
      measure_and_choose(command, config, units, choice, std::move(samples), journal);
  MeasureReport report =
      make_report(std::move(found.choice), config, units, with_source(settings, options.source));
  if (found.gates) report.gates = rank_by_gates(*found.gates, report.choice);
  for (const std::string& warning : warnings(report.choice, choice)) log_warning(warning);
  const std::string name = model_names({command.model}).front();
  print_report(command, report);
  if (!options.by_head) {
    write_file(plan_file(command), dump_measured_plan(measured_plan(report, config, name)));
  }
  write_measurement(report, command.out);
  if (!command.html.empty()) {
    write_html_report(measure_page(report, name), command.command_line, command.html);
  }
  return 0;
}

}  // namespace

void add_measure(CommandSet& commands) {
  auto command = std::make_shared<MeasureCommand>();
  MeasurementOptions& options = command->options;
  CLI::App* const app =
      commands.add(CommandGroup::models, "measure", "find the layers that need to see everything");
  app->add_option("MODEL", command->model, "model directory")->required();
  app->add_option("--out", command->out, "folder for the plan, its report and the journal")
      ->option_text("DIR")
      ->required();
  add_html_option(app, command->html);
  add_document_source_options(app, options.source);
  add_count_option(app, "--full", command->full, 1,
                   "how many layers stay full (default: a fifth of them)");
  add_percent_option(app, "--within", command->within,
                     "as few full layers as keep far text's perplexity within this percentage of "
                     "the full model's");
  app->add_option("--sparse", command->sparse,
                  "what the other layers see, as in convert (default sink)")
      ->option_text("PATTERN");
  add_count_option(app, "--length", options.length, 2,
                   "tokens of a sequence (default: the model's context)");
  add_count_option(app, "--sequences", options.sequences, 1,
                   "sequences to measure on (default 2, on a GPU 8)");
  add_count_option(app, "--questions", options.questions, 1,
                   "questions in each sequence (default 16, fewer where it is short)");
  add_seed_option(app, options.seed, "the facts that are asked for");
  app->add_flag("--heads", options.by_head,
                "measure KV heads instead of layers: a report, no plan; --full counts heads");
  app->add_flag("--gates", command->gates,
                "add a ranking by one pass back through gates, beside what is measured");
  app->add_flag("--restart", command->restart, "measure anew what DIR holds already");
  add_model_options(app, command->model_options);
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command, &commands] {
    command->command_line = commands.command_line();
    return measure(*command);
  });
}

}  // namespace longgen
