// longgen convert: makes a model a hybrid, without training.
#include "longgen/model/convert.h"

#include <charconv>
#include <memory>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/shell_quote.h"
#include "longgen/import/import.h"
#include "longgen/model/config_fields.h"
#include "longgen/model/measured_plan.h"
#include "longgen/plan/describe.h"

namespace longgen {
namespace {

struct ConvertCommand {
  std::string model, output, layers, rope_base = "auto", rope_scaling, sparse_rope = "extended";
  HybridOptions options;
  bool replace = false, json = false;
};

RopeChange rope_change(const ConvertCommand& command) {
  if (!command.rope_scaling.empty()) {
    LG_CHECK(command.rope_base == "auto",
             "--rope-base and --rope-scaling exclude each other: give one of them.");
    return {.kind = RopeChange::Kind::kYarn};
  }
  const std::string& text = command.rope_base;
  if (text == "auto") return {};
  if (text == "keep") return {.kind = RopeChange::Kind::kKeep};
  RopeChange change{.kind = RopeChange::Kind::kBase};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), change.base);
  LG_CHECK(error == std::errc{} && end == text.data() + text.size(),
           "--rope-base: expected a number, auto or keep, found \"", text, "\".");
  return change;
}

/// Warns of contexts that are rarely meant. `before` is the model as it was, `after` the hybrid.
void warn_of_context(const ModelConfig& before, const ModelConfig& after) {
  // This is far beyond the growth that was measured, which is 4 (docs/model_directory.md).
  constexpr int64_t kMostGrowth = 64;
  const int64_t own = before.original_context;
  if (after.context < before.context) {
    log_warning(detail::concat("--context ", format_count(after.context),
                               " is below the model's own ", format_count(before.context),
                               ": config.json will name the smaller one, RoPE stays. Leave "
                               "--context out to keep the model's."));
  } else if (after.context / kMostGrowth >= own && after.context > kMostGrowth * own) {
    log_warning(detail::concat("--context ", format_count(after.context), " is ",
                               format_count(after.context / own), " times the ", format_count(own),
                               " tokens that the model was trained for: without training for it "
                               "(longgen extend) it makes no sense of so long a text."));
  }
}

/// Says what is known better than the default, and where a measured plan does not quite fit.
void advise_on_layers(const ConvertCommand& command, const ModelConfig& before) {
  if (command.layers.empty() && !before.is_hybrid()) {
    log_info(
        "the middle third of the layers stays full, the paper's rule; measuring this model chooses "
        "better: longgen measure " +
        shell_quote(command.model) +
        " --text FILE --out DIR, then convert with --layers measured:DIR/plan.json");
  }
  const std::string note = other_sparse_note(command.options.layers, command.options.sparse);
  if (!note.empty()) log_warning(note);
}

int convert(ConvertCommand& command) {
  command.options.rope = rope_change(command);
  command.options.sparse_rope = kSparseRopes.parse(command.sparse_rope, "--sparse-rope");
  if (!command.layers.empty()) command.options.layers = command.layers;
  const ModelConfig before = load_model_config(command.model);
  warn_of_unknown_fields(before, command.model + "/config.json");
  const ModelConfig after = make_hybrid(before, command.options);
  warn_of_context(before, after);
  advise_on_layers(command, before);
  // Whatever cannot be done with the result is told before anything is written.
  const ModelDescription description = describe_model(command.output, after);
  rewrite_config(command.model, command.output, after, command.replace);
  const std::string rope = describe_rope_change(before, after);
  Output output;
  if (command.json) {
    OrderedJson json = to_json(description);
    json["rope_change"] = rope;
    output.write(dump_json(json) + "\n");
  } else {
    output.write(command.model + " -> " + command.output + ", weights unchanged; RoPE: " + rope +
                 "\n" + to_text(description));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_convert(CommandSet& commands) {
  auto command = std::make_shared<ConvertCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::models, "convert",
                   "make a model a hybrid for a longer context, without training");
  app->add_option("MODEL", command->model, "model directory")->required();
  app->add_option("OUT", command->output, "the model directory to create")->required();
  HybridOptions& options = command->options;
  app->add_option("--layers", command->layers,
                  "layers that keep full attention: measured:FILE (longgen measure), middle:A/B, "
                  "every:N, first:N, last:N, all, or a list such as 10-19,25 (default middle:1/3)")
      ->option_text("PLAN");
  app->add_option(
         "--sparse", options.sparse,
         "what the other layers see: sink, blocksparse, wide, or sink=S,window=W,stride=N in "
         "blocks of 64 tokens (default sink: sink=1,window=16,stride=0)")
      ->option_text("PATTERN");
  add_count_option(app, "--context", options.context, 1,
                   "the context to make it for (default: the model's own)");
  app->add_option("--rope-base", command->rope_base,
                  "RoPE base: a number, keep, or auto, the NTK-aware rule (default auto)")
      ->option_text("B|auto|keep");
  add_choice_option(app, "--rope-scaling", command->rope_scaling, {"yarn"},
                    "yarn: scale RoPE by it instead");
  add_choice_option(app, "--sparse-rope", command->sparse_rope, kSparseRopes.names(),
                    "RoPE of sparse layers: extended as in full ones, or the original one (default "
                    "extended)");
  app->add_flag("--force", command->replace, "replace OUT if it exists");
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return convert(*command); });
}

}  // namespace longgen
