// longgen man: the manual page, made from the same tables as --help.
#include <memory>

#include "longgen/cli/command_tree.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/output.h"

namespace longgen {
namespace {

/// Writes text so that troff takes no backslash, hyphen or dot at the start of a line for its own.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool starts_line = result.empty() || result.back() == '\n';
    if (starts_line && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

std::string option_text(const OptionEntry& option) {
  std::string text = ".TP\n";
  for (const std::string& name : option.names) {
    text += (name == option.names.front() ? "" : ", ") + ("\\fB" + escaped(name)) + "\\fR";
  }
  const bool is_argument = option.names[0][0] != '-';
  if (!option.value.empty() && !is_argument) text += " \\fI" + escaped(option.value) + "\\fR";
  return text + "\n" + escaped(option.description) +
         (option.required && !is_argument ? " (required)" : "") + "\n";
}

/// Writes the sections of the command and of those below it.
std::string command_text(const CommandEntry& command) {
  std::string usage = command.name;
  for (const OptionEntry& argument : command.arguments) usage += " " + argument.value;
  std::string text = ".SS " + escaped(usage) + "\n" + escaped(command.description) + ".\n";
  for (const OptionEntry& argument : command.arguments) text += option_text(argument);
  for (const OptionEntry& option : command.options) {
    if (option.names.back() != "--help") text += option_text(option);
  }
  for (const CommandEntry& part : command.commands) text += command_text(part);
  return text;
}

std::string manual(const CommandEntry& program, const std::string& footer) {
  std::string text = ".TH LONGGEN 1 \"\" \"longgen " LONGGEN_VERSION
                     "\" \"User Commands\"\n"
                     ".SH NAME\nlonggen \\- long\\-context hybrid language models\n"
                     ".SH SYNOPSIS\n\\fBlonggen\\fR \\fICOMMAND\\fR [arguments] [options]\n"
                     ".SH DESCRIPTION\n";
  text += escaped(program.description) + "\n.PP\n" + escaped(footer) + "\n.SH OPTIONS\n";
  for (const OptionEntry& option : program.options) text += option_text(option);
  text += ".SH COMMANDS\nEvery command also takes \\fB\\-h\\fR, \\fB\\-\\-help\\fR.\n";
  for (const CommandEntry& command : program.commands) text += command_text(command);
  return text;
}

}  // namespace

void add_man(CommandSet& commands) {
  CLI::App* const app =
      commands.add(CommandGroup::program, "man",
                   "print the manual page (longgen man > longgen.1; man ./longgen.1)");
  commands.on_run(app, [&commands] {
    Output output;
    output.write(manual(command_tree(commands.app()), commands.app().get_footer()));
    output.flush();
    return 0;
  });
}

}  // namespace longgen
