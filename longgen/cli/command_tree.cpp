#include "longgen/cli/command_tree.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace longgen {
namespace {

/// Finds "cpu" and "cuda" in "cpu|cuda"; in "B|auto|keep" the words,
/// but not B, which stands for a number.
std::vector<std::string> choices_of(const std::string& value) {
  std::vector<std::string> choices;
  if (value.find('|') == value.npos) return choices;
  std::istringstream parts(value);
  for (std::string part; std::getline(parts, part, '|');) {
    const bool is_word = std::none_of(part.begin(), part.end(),
                                      [](unsigned char c) { return std::isupper(c) != 0; });
    if (is_word) choices.push_back(part);
  }
  return choices;
}

OptionEntry option_entry(const CLI::Option& option) {
  OptionEntry entry;
  const std::string& text = option.get_option_text();
  if (option.get_positional()) {
    entry.names = {text.empty() ? option.get_name(true, false) : text};
    entry.value = entry.names[0];
  } else {
    for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
    if (option.get_type_size() != 0) entry.value = text.empty() ? option.get_type_name() : text;
  }
  entry.description = option.get_description();
  entry.choices = choices_of(entry.value);
  entry.required = option.get_required();
  return entry;
}

CommandEntry command_entry(const CLI::App& app, const std::string& before) {
  CommandEntry entry;
  entry.name = before + app.get_name();
  entry.group = app.get_group();
  entry.description = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    (option->get_positional() ? entry.arguments : entry.options).push_back(option_entry(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    entry.commands.push_back(command_entry(*command, entry.name + " "));
  }
  return entry;
}

}  // namespace

bool OptionEntry::takes_path() const {
  for (const char* const path : {"FILE", "DIR", "MODEL", "IN", "OUT", "SRC", "RECIPE"}) {
    if (value.find(path) != value.npos) return true;
  }
  return false;
}

std::string CommandEntry::word() const {
  const size_t space = name.rfind(' ');
  return space == name.npos ? name : name.substr(space + 1);
}

CommandEntry command_tree(const CLI::App& program) {
  CommandEntry tree = command_entry(program, "");
  for (CommandEntry& command : tree.commands) {
    for (OptionEntry& argument : command.arguments) {
      if (argument.value.rfind("COMMAND", 0) != 0) continue;  // of help: any command
      for (const CommandEntry& other : tree.commands) argument.choices.push_back(other.word());
    }
  }
  return tree;
}

}  // namespace longgen
