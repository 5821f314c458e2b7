// longgen help: prints what --help does, by the name of a command.
#include <algorithm>
#include <memory>

#include "longgen/cli/commands.h"
#include "longgen/cli/output.h"

namespace longgen {
namespace {

int help(const CLI::App& program, const std::vector<std::string>& names) {
  const CLI::App* app = &program;
  std::string full_name = program.get_name();
  for (const std::string& name : names) {
    const auto found = app->get_subcommands(
        [&name](const CLI::App* command) { return command->get_name() == name; });
    if (found.empty()) throw UsageError(unknown_command(*app, name));
    app = found.front();
    full_name += " " + name;
  }
  Output output;
  output.write(app->get_formatter()->make_help(app, full_name, CLI::AppFormatMode::Normal));
  output.flush();
  return 0;
}

}  // namespace

void add_help(CommandSet& commands) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* const app =
      commands.add(CommandGroup::program, "help", "show the help of the program or of a command");
  app->add_option("COMMAND", *names, "the command, such as eval needle (default: the program)")
      ->option_text("COMMAND...");
  commands.on_run(app, [&commands, names] { return help(commands.app(), *names); });
}

}  // namespace longgen
