// cli/commands.h: the commands of the program. To add one: write NAME.cpp with add_NAME(), declare
// it here, call it in all_commands.cpp, name the file in CMakeLists.txt.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "longgen/base/check.h"

namespace longgen {

/// Thrown by a command whose arguments do not fit together, before it does anything: exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The groups of the program's help, in its order.
enum class CommandGroup { models, data, training, inference, evaluation, performance, program };

/// The commands with their options. Options are read completely before the command runs.
class CommandSet {
 public:
  CommandSet();
  CommandSet(const CommandSet&) = delete;
  CommandSet& operator=(const CommandSet&) = delete;

  /// Adds a command with its line in the help. The caller adds options to the result (give each an
  /// option_text(), the value's name in the help) and says with on_run() what it does.
  CLI::App* add(CommandGroup group, const std::string& name, const std::string& description);

  /// Adds a command below another one, which then does nothing by itself: "needle" of "eval".
  CLI::App* add_part(CLI::App* group, const std::string& name, const std::string& description);

  /// Says what the command does, and gives it --quiet if it has none yet. `run` returns the exit
  /// code and may throw Error. What it holds must live as long as the CommandSet: let it hold the
  /// options by shared_ptr.
  void on_run(CLI::App* command, std::function<int()> run);

  /// Reads the command line and runs the command it names; answers --help and --version. Usage
  /// errors are printed and give exit code 2. Passes on what the command throws.
  int run(int argc, char** argv);

  /// Returns the command line that run() was given, quoted for a shell.
  const std::string& command_line() const { return command_line_; }

  /// Returns all commands with their options, from which help, completion and the manual are made.
  const CLI::App& app() const { return app_; }

 private:
  /// Returns the command that the command line names, as far as it was read.
  const CLI::App& named_command() const;
  int answer(const CLI::ParseError& error);
  int usage_error(const std::string& message);

  CLI::App app_;
  std::string command_line_;
  std::function<int()> selected_;
};

/// Returns "there is no command \"evla\". Did you mean \"eval\"?"; the commands that count are
/// those of `app`, the program or a group such as eval.
std::string unknown_command(const CLI::App& app, const std::string& name);

void add_all_commands(CommandSet& commands);

void add_bench(CommandSet& commands);
void add_chat(CommandSet& commands);
void add_completion(CommandSet& commands);
void add_compose(CommandSet& commands);
void add_convert(CommandSet& commands);
void add_doctor(CommandSet& commands);
void add_eval(CommandSet& commands);
void add_extend(CommandSet& commands);
void add_generate(CommandSet& commands);
void add_help(CommandSet& commands);
void add_import(CommandSet& commands);
void add_info(CommandSet& commands);
void add_man(CommandSet& commands);
void add_measure(CommandSet& commands);
void add_plan(CommandSet& commands);
void add_prepare(CommandSet& commands);
void add_score(CommandSet& commands);
void add_serve(CommandSet& commands);
void add_tokenize(CommandSet& commands);

}  // namespace longgen
