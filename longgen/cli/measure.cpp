// longgen measure: which layers need to see everything.
#include <charconv>
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/folder_lock.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/random.h"
#include "longgen/base/units.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/shell_quote.h"
#include "longgen/data/dataset_format.h"
#include "longgen/measure/measured_variants.h"
#include "longgen/measure/report.h"
#include "longgen/measure/texts.h"
#include "longgen/model/convert.h"
#include "longgen/model/model_path.h"
#include "longgen/report/model_names.h"
#include "longgen/report/report_files.h"

namespace longgen {
namespace {

struct MeasureCommand {
  std::string model, data, split = "held_out", text_field = "text", sparse = "sink", within, out;
  std::vector<std::string> texts;
  ModelOptions model_options;
  int64_t length = 0, sequences = 0, questions = 0, full = 0;
  uint64_t seed = 0;
  bool restart = false, json = false, quiet = false;
};

/// Reads "1%" or "0.5" as a share.
double parse_percent(std::string_view text) {
  const std::string_view number = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
  double value = 0;
  const char* const end = number.data() + number.size();
  const auto [rest, error] = std::from_chars(number.data(), end, value);
  LG_CHECK(error == std::errc() && rest == end && value > 0 && value <= 100,
           "--within: expected a percentage above 0 and at most 100, such as 1%, found \"", text,
           "\".");
  return value / 100;
}

ChoiceOptions choice_options(const MeasureCommand& command, int64_t num_candidates) {
  if (!command.within.empty()) return {.num_full = 0, .within = parse_percent(command.within)};
  // A fifth of the layers kept what far context gives in the models that were measured.
  const int64_t fifth = std::max<int64_t>(1, (2 * num_candidates + 5) / 10);
  const int64_t num_full = command.full > 0 ? command.full : fifth;
  LG_CHECK(num_full <= num_candidates, "--full: expected at most ", num_candidates,
           ", the layers that the model can make sparse, found ", num_full, ".");
  return {.num_full = num_full, .within = {}};
}

/// Gives the model that variants are held against: every layer full but for windows of its own.
ModelConfig reference_config(const MeasureCommand& command) {
  const ModelConfig config = load_model_config(command.model);
  if (config.is_hybrid()) {
    log_info(command.model +
             " is a hybrid; it is measured as the model with its weights and every layer full");
  }
  return make_hybrid(
      config,
      {.layers = "all", .sparse = "full", .context = 0, .rope = {.kind = RopeChange::Kind::kKeep}});
}

std::vector<MeasureSample> make_samples(const MeasureCommand& command, const ModelConfig& config) {
  const Tokenizer tokenizer = open_tokenizer(command.model);
  const TextSource source = {.texts = {command.texts.begin(), command.texts.end()},
                             .text_field = command.text_field,
                             .data = command.data,
                             .split = command.split};
  const auto stretches =
      read_stretches(source, tokenizer, command.model, command.length, command.sequences);
  if (static_cast<int64_t>(stretches.size()) < command.sequences) {
    log_info(detail::concat("the text has ", stretches.size(), " of ", command.sequences,
                            " sequences of ", format_count(command.length), " tokens"));
  }
  std::vector<MeasureSample> samples;
  for (const std::vector<int32_t>& stretch : stretches) {
    const auto number = static_cast<uint64_t>(samples.size());
    samples.push_back(make_measure_sample(
        stretch, tokenizer,
        {.sparse = Pattern::parse_sparse(command.sparse).for_heads(config.num_kv_heads),
         .num_kv_heads = config.num_kv_heads,
         .questions = command.questions,
         .seed = mix_pair(command.seed, number)}));
  }
  return samples;
}

/// Says what decides the values; a journal of others is refused. The order is that in which
/// differences are looked for.
OrderedJson settings_json(const MeasureCommand& command, const ModelConfig& config,
                          const std::vector<MeasureSample>& samples) {
  std::string ids;
  int64_t questions = 0;
  for (const MeasureSample& sample : samples) {
    ids.append(reinterpret_cast<const char*>(sample.ids.data()),
               sample.ids.size() * sizeof(int32_t));
    questions += static_cast<int64_t>(sample.answers.size());
  }
  return {{"model_hash", hash_directory(command.model)},
          {"length", command.length},
          {"sequences", samples.size()},
          {"questions", questions},
          {"sparse", Pattern::parse_sparse(command.sparse).to_string()},
          {"layers", config.num_layers},
          {"seed", command.seed},
          {"tokens_hash", hash_hex(ids)},
          {"dtype", command.model_options.compute_dtype()},
          {"device", gpu_index(command.model_options.device) ? "cuda" : "cpu"},
          {"version", LONGGEN_VERSION}};
}

/// Runs the measurement, with its bar.
LayerChoice measure_and_choose(const MeasureCommand& command, const ModelConfig& config,
                               std::vector<MeasureSample> samples, MeasureJournal& journal) {
  const LayerSet candidates = config.layers.full_layers();
  const ChoiceOptions options = choice_options(command, static_cast<int64_t>(candidates.size()));
  const auto total = static_cast<int64_t>(samples.size()) *
                     num_variants_to_measure(static_cast<int64_t>(candidates.size()),
                                             options.within ? 1 : options.num_full);
  std::optional<Progress> progress;
  if (!command.quiet) {
    progress.emplace("measure", total, "variants",
                     ProgressOptions{.already_done = std::min(total, journal.num_variants())});
  }
  MeasuredVariants variants({.candidates = candidates,
                             .sparse = Pattern::parse_sparse(command.sparse),
                             .samples = std::move(samples),
                             .load =
                                 [&] {
                                   const Decoder decoder =
                                       load_decoder(command.model, command.model_options);
                                   return Decoder(config, decoder.weights());
                                 },
                             .on_progress =
                                 [&](int64_t done) {
                                   if (progress) progress->update(std::min(done, total));
                                 },
                             .stop = &interrupted()},
                            journal);
  LayerChoice choice = choose_layers(variants, candidates, options);
  if (progress) progress->finish();
  return choice;
}

void warn_of_choice(const MeasureCommand& command, const LayerChoice& choice) {
  const LossShares shares = choice.shares();
  if (!shares.answers_count()) {
    log_warning(detail::concat(
        "the questions do not count: with every layer full the model gives their answers hardly "
        "more probability than with every layer sparse (",
        shares.answers_gap(), " nats a token). The choice follows far text alone."));
  }
  if (command.within.empty()) return;
  const double bound = parse_percent(command.within);
  const VariantValues& chosen = choice.order.at(static_cast<size_t>(choice.num_full) - 1).values;
  if (perplexity_over(chosen, choice.full) > bound) {
    log_warning("no hybrid is within --within " + command.within +
                ": the plan has the most layers that were tried together.");
  }
}

/// Adds to the settings where the text came from, which decides nothing by itself.
OrderedJson record_of(const MeasureCommand& command, OrderedJson settings) {
  settings["texts"] = command.texts;
  if (!command.data.empty()) {
    settings["data"] = command.data;
    settings["split"] = command.split;
  }
  return settings;
}

std::string next_command(const MeasureCommand& command) {
  const std::string plan = (fs::path(command.out) / "plan.json").string();
  return "longgen convert " + shell_quote(command.model) + " OUT --layers " +
         shell_quote("measured:" + plan) + " --sparse " +
         shell_quote(Pattern::parse_sparse(command.sparse).to_string());
}

int measure(MeasureCommand& command) {
  LG_CHECK(command.texts.empty() != command.data.empty(),
           "give the text by either --text FILE or --data DATASET.");
  LG_CHECK(command.full == 0 || command.within.empty(),
           "--full says how many layers stay full, --within what they may lose: give one of them.");
  expect_model_directory(command.model);
  try_report_folder(command.out);
  const FolderLock lock(command.out);
  LG_CHECK(!lock.held_by_another(), command.out,
           ": another longgen measure is writing there. Wait for it, or give another --out.");
  const ModelConfig config = reference_config(command);
  choice_options(command, config.layers.count(LayerPlan::kFull));  // errors before anything is read
  if (command.length == 0) command.length = config.context;
  if (command.sequences == 0) command.sequences = gpu_index(command.model_options.device) ? 8 : 2;
  catch_interrupts();
  std::vector<MeasureSample> samples = make_samples(command, config);
  const OrderedJson settings = settings_json(command, config, samples);
  MeasureJournal journal(fs::path(command.out) / "journal.jsonl", settings, command.restart);
  const Pattern sparse = Pattern::parse_sparse(command.sparse).for_heads(config.num_kv_heads);
  MeasureReport report;
  report.choice = measure_and_choose(command, config, std::move(samples), journal);
  report.num_layers = config.num_layers;
  report.edges = far_text_edges(first_far_position(sparse, config.num_kv_heads, command.length),
                                command.length);
  report.sparse = Pattern::parse_sparse(command.sparse).to_string();
  report.settings = record_of(command, settings);
  warn_of_choice(command, report.choice);
  const MeasuredPlan plan = {.sizes = plan_sizes(config),
                             .model_name = model_names({command.model}).front(),
                             .model_hash = settings.at("model_hash"),
                             .full_layers = report.choice.full_layers(),
                             .sparse = report.sparse,
                             .order = order_json(report.choice),
                             .measured_on = report.settings};
  write_measurement(report, plan, command.out);
  Output output;
  if (command.json) {
    OrderedJson json = to_json(report);
    json["next"] = next_command(command);
    output.write(dump_json(json) + "\n");
  } else {
    output.write(to_text(report) + "next: " + next_command(command) + "\n");
  }
  output.flush();
  return 0;
}

}  // namespace

void add_measure(CommandSet& commands) {
  auto command = std::make_shared<MeasureCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::models, "measure", "find the layers that need to see everything");
  app->add_option("MODEL", command->model, "model directory")->required();
  app->add_option("--out", command->out, "folder for the plan, its report and the journal")
      ->option_text("DIR")
      ->required();
  app->add_option("--text", command->texts, "text to measure on: files or folders as for prepare")
      ->allow_extra_args(false)
      ->option_text("FILE");
  app->add_option("--text-field", command->text_field, "field of a JSON line (default text)")
      ->option_text("NAME");
  app->add_option("--data", command->data, "text to measure on: a dataset that prepare wrote")
      ->option_text("DIR");
  add_choice_option(app, "--split", command->split, {kHeldOutSplit, kTrainSplit},
                    "which part of the dataset (default held_out)");
  add_count_option(app, "--full", command->full, 1,
                   "how many layers stay full (default: a fifth of them)");
  app->add_option("--within", command->within,
                  "as few full layers as keep far text's perplexity within this percentage of the "
                  "full model's")
      ->option_text("P%");
  app->add_option("--sparse", command->sparse,
                  "what the other layers see, as in convert (default sink)")
      ->option_text("PATTERN");
  add_count_option(app, "--length", command->length, 2,
                   "tokens of a sequence (default: the model's context)");
  add_count_option(app, "--sequences", command->sequences, 1,
                   "sequences to measure on (default 2, on a GPU 8)");
  add_count_option(app, "--questions", command->questions, 1,
                   "questions in each sequence (default 16, fewer where it is short)");
  add_seed_option(app, command->seed, "the facts that are asked for");
  app->add_flag("--restart", command->restart, "measure anew what DIR holds already");
  add_model_options(app, command->model_options);
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return measure(*command); });
}

}  // namespace longgen
