#include <sstream>

#include "longgen/cli/commands.h"
#include "longgen/cli/help_format.h"
#include "longgen/cli/output.h"
#include "longgen/cli/version.h"

namespace longgen {
namespace {

const char* group_name(CommandGroup group) {
  switch (group) {
    case CommandGroup::models:
      return "Models";
    case CommandGroup::data:
      return "Data";
    case CommandGroup::training:
      return "Training";
    case CommandGroup::inference:
      return "Inference";
    case CommandGroup::evaluation:
      return "Evaluation";
  }
  return "";
}

constexpr int kUsageError = 2;

}  // namespace

CommandSet::CommandSet()
    : app_(
          "Turns a pretrained language model into a long-context hybrid, trains it, runs it, "
          "measures it.",
          "longgen") {
  app_.formatter(std::make_shared<HelpFormat>());
  app_.set_help_flag("-h,--help", "show this help");
  app_.set_version_flag("--version", version_text, "show version and processor features");
  app_.footer(
      "\"longgen COMMAND --help\" shows the options of a command. Results go to stdout, everything "
      "else to stderr.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 130 or 143 stopped by Ctrl-C or SIGTERM.");
}

CLI::App* CommandSet::add(CommandGroup group, const std::string& name,
                          const std::string& description) {
  CLI::App* const command = app_.add_subcommand(name, description);
  command->group(group_name(group));
  command->footer("");
  return command;
}

void CommandSet::on_run(CLI::App* command, std::function<int()> run) {
  command->callback([this, run = std::move(run)] { selected_ = run; });
}

int CommandSet::run(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return answer(error);
  }
  if (!selected_) return usage_error("a command is required.");
  try {
    return selected_();
  } catch (const UsageError& error) {
    return usage_error(error.what());
  }
}

int CommandSet::answer(const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) {
    const std::vector<std::string> unknown = app_.remaining(true);
    if (app_.get_subcommands().empty() && !unknown.empty() && unknown.front()[0] != '-') {
      return usage_error("there is no command \"" + unknown.front() + "\".");
    }
    return usage_error(error.what());
  }
  std::ostringstream text, unused;  // --help or --version
  app_.exit(error, text, unused);
  Output output;
  output.write(text.str());
  output.flush();
  return 0;
}

int CommandSet::usage_error(const std::string& message) {
  const std::vector<CLI::App*> named = app_.get_subcommands();
  const std::string command = named.empty() ? "" : " " + named.front()->get_name();
  print_error(message + "\nSee \"longgen" + command + " --help\".");
  return kUsageError;
}

}  // namespace longgen
