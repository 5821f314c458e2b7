// longgen completion: scripts with which a shell completes the program's commands and options. A
// script finds the command among the words typed so far, then offers what fits there: values of the
// option before the cursor, options after a dash, else commands or files.
#include <functional>
#include <memory>

#include "longgen/cli/command_tree.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"

namespace longgen {
namespace {

using CommandVisitor = std::function<void(const CommandEntry&)>;
using OptionVisitor = std::function<void(const CommandEntry&, const OptionEntry&)>;

void for_each_command(const CommandEntry& command, const CommandVisitor& visit) {
  visit(command);
  for (const CommandEntry& part : command.commands) for_each_command(part, visit);
}

void for_each_option(const CommandEntry& program, const OptionVisitor& visit) {
  for_each_command(program, [&visit](const CommandEntry& command) {
    for (const OptionEntry& option : command.options) visit(command, option);
  });
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

/// Puts a text in single quotes, as all three shells read them.
std::string quoted(const std::string& text, const std::string& quote_inside = "'\\''") {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? quote_inside : std::string(1, c);
  return result + "'";
}

/// Lists all commands but the program itself, as patterns of a `case`: 'longgen eval'|...
std::string command_patterns(const CommandEntry& program, const std::string& between) {
  std::vector<std::string> names;
  for (const CommandEntry& command : program.commands) {
    for_each_command(command, [&names](const CommandEntry& c) { names.push_back(quoted(c.name)); });
  }
  return joined(names, between);
}

/// Lists 'longgen eval --out' and the like, for each name of the option.
std::string option_patterns(const CommandEntry& command, const OptionEntry& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back(quoted(command.name + " " + name));
  return joined(names, "|");
}

/// Lists what may stand where the command takes no option: its commands, or words of its arguments.
std::vector<std::string> words_of(const CommandEntry& command) {
  std::vector<std::string> words;
  for (const CommandEntry& part : command.commands) words.push_back(part.word());
  for (const OptionEntry& argument : command.arguments) {
    words.insert(words.end(), argument.choices.begin(), argument.choices.end());
  }
  return words;
}

std::string bash_script(const CommandEntry& program) {
  std::string values, words;
  for_each_option(program, [&values](const CommandEntry& command, const OptionEntry& option) {
    if (option.value.empty()) return;
    values += "    " + option_patterns(command, option) +
              ") found=" + quoted(joined(option.choices, " ")) + "; is_value=1 ;;\n";
  });
  for_each_command(program, [&words](const CommandEntry& command) {
    std::vector<std::string> options;
    for (const OptionEntry& option : command.options) {
      options.insert(options.end(), option.names.begin(), option.names.end());
    }
    words += "    " + quoted(command.name) + ") options=" + quoted(joined(options, " ")) +
             "; words=" + quoted(joined(words_of(command), " ")) + " ;;\n";
  });
  return "# bash completion of longgen. Use: source <(longgen completion bash)\n"
         "_longgen() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local command=longgen found= options= words= is_value= i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    case \"$command ${COMP_WORDS[i]}\" in\n"
         "    " +
         command_patterns(program, "|") +
         ") command=\"$command ${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command $previous\" in\n" +
         values +
         "  esac\n"
         "  case \"$command\" in\n" +
         words +
         "  esac\n"
         "  if [[ -z $is_value ]]; then\n"
         "    if [[ $current == -* ]]; then found=$options; else found=$words; fi\n"
         "  fi\n"
         "  [[ -z $found ]] || COMPREPLY=($(compgen -W \"$found\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _longgen longgen\n";
}

/// Writes 'name:description' for zsh's _describe, in which a colon of the name is escaped.
std::string zsh_item(const std::string& name, const std::string& description) {
  return " " + quoted(name + ":" + description);
}

std::string zsh_script(const CommandEntry& program) {
  std::string values, words;
  for_each_option(program, [&values](const CommandEntry& command, const OptionEntry& option) {
    if (option.value.empty()) return;
    values += "    " + option_patterns(command, option) + ") is_value=1; choices=(";
    for (const std::string& choice : option.choices) values += " " + quoted(choice);
    values += std::string(" )") + (option.takes_path() ? "; files=1" : "") + " ;;\n";
  });
  for_each_command(program, [&words](const CommandEntry& command) {
    words += "    " + quoted(command.name) + ")\n      options=(";
    for (const OptionEntry& option : command.options) {
      for (const std::string& name : option.names) words += zsh_item(name, option.description);
    }
    words += " )\n      words_here=(";
    for (const CommandEntry& part : command.commands) {
      words += zsh_item(part.word(), part.description);
    }
    bool takes_path = false;
    for (const OptionEntry& argument : command.arguments) {
      for (const std::string& choice : argument.choices) words += " " + quoted(choice);
      takes_path = takes_path || argument.takes_path();
    }
    words += std::string(" )\n") + (takes_path ? "      files=1\n" : "") + "      ;;\n";
  });
  return "#compdef longgen\n"
         "# zsh completion of longgen. Use: source <(longgen completion zsh), after compinit, or\n"
         "# write it to a file _longgen in a folder of $fpath.\n"
         "_longgen() {\n"
         "  local command=longgen word is_value= files=\n"
         "  local -a choices options words_here\n"
         "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
         "    case \"$command $word\" in\n"
         "    " +
         command_patterns(program, "|") +
         ") command=\"$command $word\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command ${words[CURRENT-1]}\" in\n" +
         values +
         "  esac\n"
         "  if [[ -n $is_value ]]; then\n"
         "    (( $#choices )) && compadd -a choices\n"
         "    [[ -z $files ]] || _files\n"
         "    return\n"
         "  fi\n"
         "  case \"$command\" in\n" +
         words +
         "  esac\n"
         "  if [[ ${words[CURRENT]} == -* ]]; then\n"
         "    _describe -o option options\n"
         "    return\n"
         "  fi\n"
         "  (( $#words_here )) && _describe command words_here\n"
         "  [[ -z $files ]] || _files\n"
         "}\n"
         "if [[ ${funcstack[1]} == _longgen ]]; then _longgen \"$@\"; else compdef _longgen "
         "longgen; "
         "fi\n";
}

std::string fish_script(const CommandEntry& program) {
  const auto fish = [](const std::string& text) { return quoted(text, "\\'"); };
  std::string lines;
  for_each_command(program, [&](const CommandEntry& command) {
    const std::string here = "complete -c longgen -n " + fish("__longgen_command " + command.name);
    const auto add_word = [&](const std::string& word, const std::string& description) {
      lines += here + " -f -a " + fish(word) + " -d " + fish(description) + "\n";
    };
    for (const CommandEntry& part : command.commands) add_word(part.word(), part.description);
    for (const OptionEntry& argument : command.arguments) {
      for (const std::string& choice : argument.choices) add_word(choice, argument.description);
    }
    for (const OptionEntry& option : command.options) {
      lines += here;
      for (const std::string& name : option.names) {
        lines += name.rfind("--", 0) == 0 ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!option.value.empty()) lines += option.takes_path() ? " -r -F" : " -x";
      if (!option.choices.empty()) lines += " -a " + fish(joined(option.choices, " "));
      lines += " -d " + fish(option.description) + "\n";
    }
  });
  return "# fish completion of longgen. Use: longgen completion fish | source\n"
         "function __longgen_command --description 'whether the command line names this command'\n"
         "  set -l command longgen\n"
         "  for word in (commandline -opc)[2..-1]\n"
         "    switch \"$command $word\"\n"
         "      case " +
         command_patterns(program, " ") +
         "\n"
         "        set command \"$command $word\"\n"
         "    end\n"
         "  end\n"
         "  test \"$command\" = \"$argv\"\n"
         "end\n" +
         lines;
}

int completion(const CLI::App& program, const std::string& shell) {
  const CommandEntry tree = command_tree(program);
  Output output;
  output.write(shell == "bash"  ? bash_script(tree)
               : shell == "zsh" ? zsh_script(tree)
                                : fish_script(tree));
  output.flush();
  return 0;
}

}  // namespace

void add_completion(CommandSet& commands) {
  auto shell = std::make_shared<std::string>();
  CLI::App* const app = commands.add(CommandGroup::program, "completion",
                                     "print a script with which a shell completes longgen");
  app->add_option("SHELL", *shell, "bash, zsh or fish; the script says how to use it")
      ->option_text("bash|zsh|fish")
      ->check(one_of({"bash", "zsh", "fish"}))
      ->required();
  commands.on_run(app, [&commands, shell] { return completion(commands.app(), *shell); });
}

}  // namespace longgen
