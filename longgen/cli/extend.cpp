// longgen extend: trains a hybrid while its context grows, as a recipe says.
#include <errno.h>  // program_invocation_name

#include <memory>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/ranks.h"
#include "longgen/cli/shell_quote.h"
#include "longgen/train/recipe/hybrid_config.h"
#include "longgen/train/run_directory.h"
#include "longgen/train/trainer.h"

namespace longgen {
namespace {

struct ExtendCommand {
  std::string recipe;
  std::vector<std::string> overrides;
  TrainOptions options;
  std::string device = "cpu";
  RankArguments ranks;
  std::string launcher;  // of the ranks, if it was not this program
  bool json = false, quiet = false;
};

std::string number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

/// Writes the command that goes on with the run, in the shell and folder of this one; what a
/// launcher was told stands as "torchrun ...".
std::string resume_command(const ExtendCommand& command) {
  std::string text = (command.launcher.empty() ? "" : command.launcher + " ... ") +
                     shell_quote(::program_invocation_name) + " extend " +
                     shell_quote(command.recipe);
  for (const std::string& setting : command.overrides) text += " --set " + shell_quote(setting);
  text += option_text(command.ranks);
  if (command.device != "cpu") text += " --device " + shell_quote(command.device);
  if (command.json) text += " --json";
  if (command.quiet) text += " --quiet";
  return text + " --resume";
}

std::string to_text(const TrainSummary& summary, const ExtendCommand& command) {
  std::string text = detail::concat(
      summary.finished ? "finished" : "stopped", ": ", format_count(summary.steps), " of ",
      format_count(summary.total_steps, "step"), ", ", format_count(summary.tokens, "token"), "\n");
  if (summary.seconds > 0) {
    text += detail::concat(
        "loss ", number(summary.first_loss, "%.4f"), " -> ", number(summary.last_loss, "%.4f"),
        " | ", format_duration(summary.seconds), ", ", number(summary.tokens_per_second, "%.0f"),
        " tokens/s | peak memory ", format_bytes(summary.peak_memory_bytes), "\n");
  }
  if (summary.skipped_steps > 0) {
    text += detail::concat(format_count(summary.skipped_steps, "step"),
                           summary.skipped_steps == 1 ? " was" : " were",
                           " not finite and changed nothing\n");
  }
  text += summary.finished ? "model: " + summary.model.string() + "\n"
                           : "saved; go on with: " + resume_command(command) + "\n";
  return text;
}

OrderedJson to_json(const TrainSummary& summary, const ExtendCommand& command) {
  OrderedJson json = {{"finished", summary.finished},
                      {"steps", summary.steps},
                      {"total_steps", summary.total_steps},
                      {"tokens", summary.tokens},
                      {"skipped_steps", summary.skipped_steps},
                      {"first_loss", summary.first_loss},
                      {"last_loss", summary.last_loss},
                      {"seconds", summary.seconds},
                      {"tokens_per_s", summary.tokens_per_second},
                      {"peak_memory_bytes", summary.peak_memory_bytes},
                      {"model", summary.model.string()}};
  if (!summary.finished) json["resume"] = resume_command(command);
  return json;
}

int exit_code(const TrainSummary& summary) {
  return summary.finished ? 0 : exit_code_of_interrupt();
}

TrainSummary train_alone(const Recipe& recipe, ExtendCommand& command) {
  command.options.device = open_device(command.device);
  return train(recipe, command.options);
}

TrainSummary train_as_rank(const Recipe& recipe, const RankPlace& place, ExtendCommand& command) {
  const std::unique_ptr<RankGroup> group = join_ranks(place, command.ranks);
  TrainSummary summary;
  group->run([&] {
    command.options.device = open_device(device_of_rank(command.device, place));
    command.options.ranks = {&group->communicator(), place.num_local_ranks,
                             facts_of_program(command.options.device)};
    summary = train(recipe, command.options);
  });
  return summary;
}

int extend(ExtendCommand& command) {
  const Recipe recipe = with_listed_layers(load_recipe(command.recipe, command.overrides));
  LG_CHECK(!(command.options.resume && command.options.replace),
           "--resume goes on with a run, --force begins anew: give one of them.");
  const std::optional<RankPlace> place = place_among_ranks(command.ranks);
  if (!place && command.ranks.num_ranks > 1) {
    const RunDirectory directory(recipe, RunDirectory::Use::look);
    return run_as_ranks(command.ranks, [&](int rank) { return directory.rank_log(rank); });
  }
  command.options.show_progress = !command.quiet;
  command.options.stop = &interrupted();
  if (place && command.ranks.num_ranks == 0) command.launcher = place->launcher;
  // Among ranks, whoever started them tells, or rank 0 by where it stops.
  catch_interrupts(/*tells=*/!place);
  const TrainSummary summary =
      place ? train_as_rank(recipe, *place, command) : train_alone(recipe, command);
  if (place && place->rank > 0) return exit_code(summary);
  Output output;
  output.write(command.json ? dump_json(to_json(summary, command)) + "\n"
                            : to_text(summary, command));
  output.flush();
  return exit_code(summary);
}

}  // namespace

void add_extend(CommandSet& commands) {
  auto command = std::make_shared<ExtendCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::training, "extend",
                   "train a model as a hybrid for a longer context, as a recipe says");
  app->add_option("RECIPE", command->recipe, "recipe file (.toml); docs/recipes.md has every key")
      ->required();
  app->add_option("--set", command->overrides,
                  "set a key of the recipe for this run, such as train.steps=20; may be given "
                  "repeatedly")
      ->option_text("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  add_device_option(app, command->device);
  app->add_flag("--resume", command->options.resume,
                "go on from the last checkpoint, or begin where there is none");
  app->add_flag("--force", command->options.replace,
                "begin anew, and remove what the run's directory holds of an earlier run");
  add_rank_options(app, command->ranks);
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return extend(*command); });
}

}  // namespace longgen
