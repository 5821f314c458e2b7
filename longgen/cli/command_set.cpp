#include <algorithm>
#include <sstream>

#include "longgen/base/nearest_name.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/help_format.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/cli/shell_quote.h"
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
    case CommandGroup::performance:
      return "Performance";
    case CommandGroup::program:
      return "This program";
  }
  return "";
}

constexpr int kUsageError = 2;

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Returns the command as far as its names were read: "longgen eval needle".
std::string full_name(const CLI::App& app) {
  const CLI::App* const parent = app.get_parent();
  return (parent != nullptr ? full_name(*parent) + " " : "") + app.get_name();
}

/// Says what is wrong with the words that no option or argument of `app` took; nothing where every
/// word was taken. An option comes before a word, which may be the value of one that is misspelt;
/// but where a command's name is expected, what stands for it comes first.
std::string unknown_words(const CLI::App& app) {
  const auto is_option = [](const std::string& word) { return word.size() > 1 && word[0] == '-'; };
  const std::vector<std::string> words = app.remaining();
  const auto word = std::ranges::find_if_not(words, is_option);
  if (!command_names(app).empty() && word != words.end()) return unknown_command(app, *word);
  const auto option = std::ranges::find_if(words, is_option);
  if (option != words.end()) {
    const std::string name = option->substr(0, option->find('='));
    return "there is no option \"" + name + "\"." + did_you_mean(name, option_names(app));
  }
  return word == words.end() ? "" : "unexpected argument \"" + *word + "\".";
}

}  // namespace

std::string unknown_command(const CLI::App& app, const std::string& name) {
  const std::string group = app.get_parent() != nullptr ? app.get_name() + " " : "";
  return "there is no command \"" + group + name + "\"." + did_you_mean(name, command_names(app));
}

CommandSet::CommandSet()
    : app_(
          "Turns a pretrained language model into a long-context hybrid, trains it, runs it, "
          "measures it.",
          "longgen") {
  app_.formatter(std::make_shared<HelpFormat>());
  app_.set_help_flag("-h,--help", "show this help");
  app_.set_version_flag("--version", version_text, "show version and processor features");
  // A call takes one command: its arguments may be called like another command.
  app_.require_subcommand(0, 1);
  app_.footer(
      "\"longgen COMMAND --help\" shows the options of a command, \"longgen help COMMAND\" too. "
      "Results go to stdout, everything else to stderr.\n"
      "Exit codes: 0 done, 1 error, 2 wrong usage, 130 or 143 stopped by Ctrl-C or SIGTERM.");
}

CLI::App* CommandSet::add(CommandGroup group, const std::string& name,
                          const std::string& description) {
  CLI::App* const command = app_.add_subcommand(name, description);
  command->group(group_name(group));
  command->footer("");
  return command;
}

CLI::App* CommandSet::add_part(CLI::App* group, const std::string& name,
                               const std::string& description) {
  group->require_subcommand(1);
  CLI::App* const command = group->add_subcommand(name, description);
  command->group("Commands");
  command->footer("");
  return command;
}

void CommandSet::on_run(CLI::App* command, std::function<int()> run) {
  if (command->get_option_no_throw("--quiet") == nullptr) add_quiet_flag(command);
  command->callback([this, run = std::move(run)] { selected_ = run; });
}

int CommandSet::run(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    command_line_ += (i == 0 ? "" : " ") + shell_quote(i == 0 ? "longgen" : argv[i]);
  }
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

const CLI::App& CommandSet::named_command() const {
  const CLI::App* command = &app_;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return *command;
}

int CommandSet::answer(const CLI::ParseError& error) {
  const CLI::App& command = named_command();
  const std::vector<std::string> parts = command_names(command);
  const std::string unknown = unknown_words(command);
  if (error.get_exit_code() == 0) {  // --help or --version
    if (!parts.empty() && !unknown.empty()) return usage_error(unknown);
    std::ostringstream text, unused;
    app_.exit(error, text, unused);
    Output output;
    output.write(text.str());
    output.flush();
    return 0;
  }
  if (!unknown.empty()) return usage_error(unknown);
  const bool is_group = !parts.empty() && command.get_parent() != nullptr;
  if (is_group) return usage_error("a command is required: " + listed_names(parts) + ".");
  return usage_error(error.what());
}

int CommandSet::usage_error(const std::string& message) {
  print_error(message + "\nSee \"" + full_name(named_command()) + " --help\".");
  return kUsageError;
}

}  // namespace longgen
