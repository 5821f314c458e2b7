#include <cstdio>
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

/// The arguments that no option and no command took; the last command named is asked too, because
/// each keeps its own.
std::string first_unknown(CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(true);
  return unknown.empty() ? "" : unknown.front();
}

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
    if (!selected_) throw CLI::RequiredError("a command");
  } catch (const CLI::ParseError& error) {
    return report(error);
  }
  return selected_();
}

int CommandSet::report(const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {  // --help or --version
    std::ostringstream text, unused;
    app_.exit(error, text, unused);
    Output output;
    output.write(text.str());
    output.flush();
    return 0;
  }
  const std::vector<CLI::App*> named = app_.get_subcommands();
  std::string message = error.what(), help = "longgen --help";
  if (!named.empty()) {
    help = "longgen " + named.front()->get_name() + " --help";
  } else if (const std::string word = first_unknown(app_); !word.empty() && word[0] != '-') {
    message = "there is no command \"" + word + "\".";
  }
  std::fprintf(stderr, "longgen: error: %s\nSee \"%s\".\n", message.c_str(), help.c_str());
  return kUsageError;
}

}  // namespace longgen
