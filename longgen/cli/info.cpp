// longgen info: what a model is, and what its KV cache takes.
#include <memory>

#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/model/config_fields.h"
#include "longgen/plan/describe.h"
#include "longgen/plan/presets.h"

namespace longgen {
namespace {

struct InfoCommand {
  std::string model, dtype = "bfloat16";
  int64_t context = 0;
  bool json = false;
};

int info(const InfoCommand& command) {
  const ModelConfig config = preset_or_directory(command.model);
  warn_of_unknown_fields(config, command.model + "/config.json");
  const ModelDescription description =
      describe_model(command.model, config, command.context, parse_number_format(command.dtype));
  Output output;
  output.write(command.json ? dump_json(to_json(description)) + "\n" : to_text(description));
  output.flush();
  return 0;
}

}  // namespace

void add_info(CommandSet& commands) {
  auto command = std::make_shared<InfoCommand>();
  CLI::App* const app = commands.add(CommandGroup::models, "info",
                                     "show a model's shape, layers, pattern and KV cache");
  app->add_option("MODEL", command->model, "model directory, or a preset such as llama2-7b")
      ->required();
  add_count_option(app, "--context", command->context, 1,
                   "tokens to count the KV cache for (default: the model's context)");
  add_number_format_option(app, command->dtype, "precision of the KV cache (default bfloat16)");
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return info(*command); });
}

}  // namespace longgen
