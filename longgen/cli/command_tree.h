// cli/command_tree.h: the commands and their options as data, for what is made from them: shell
// completion and the manual page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace longgen {

struct OptionEntry {
  std::vector<std::string> names;  ///< "-h", "--help"; of an argument its name alone, "MODEL"
  std::string value;               ///< what the help calls the value; empty for a flag
  std::string description;
  std::vector<std::string>
      choices;  ///< the words that may stand for the value, where there are any
  bool required = false;

  /// Whether a file or a folder can stand for the value.
  bool takes_path() const;
};

struct CommandEntry {
  std::string name;  ///< as typed: "longgen eval needle"
  std::string group, description;
  std::vector<OptionEntry> arguments, options;
  std::vector<CommandEntry> commands;

  /// Returns the last word of the name.
  std::string word() const;
};

/// Reads everything that is not hidden from the program's tables, in the order of the help.
CommandEntry command_tree(const CLI::App& program);

}  // namespace longgen
