#include "longgen/cli/help_format.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace longgen {
namespace {

// Longer lines are hard to read, and a column of descriptions narrower than 20 is too.
constexpr size_t kWidest = 80, kNarrowest = 40;
constexpr size_t kCommandColumn = 14;  // the longest name has ten letters

size_t terminal_width() {
  winsize size = {};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::clamp<size_t>(size.ws_col, kNarrowest, kWidest) : kWidest;
}

/// Breaks lines at spaces, and indents those that it begins; line breaks of the text stay.
std::string wrapped(const std::string& text, size_t width, size_t indent = 0) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!result.empty()) result += '\n';
    size_t length = 0;
    std::istringstream words(line);
    for (std::string word; words >> word; length += word.size()) {
      if (length > 0) {
        const bool fits = length + 1 + word.size() <= width;
        result += fits ? " " : "\n" + std::string(indent, ' ');
        length = fits ? length + 1 : indent;
      }
      result += word;
    }
  }
  return result;
}

}  // namespace

HelpFormat::HelpFormat() : HelpFormat(terminal_width()) {}

HelpFormat::HelpFormat(size_t width) : width_(width) { column_width(width * 7 / 20); }

std::string HelpFormat::make_usage(const CLI::App* app, std::string name) const {
  std::string usage = "Usage: " + name;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) usage += " " + make_option_name(option, true);
  }
  if (!app->get_subcommands([](const CLI::App*) { return true; }).empty()) usage += " COMMAND";
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_positional() && option->get_required()) {
      usage += " " + make_option_name(option, false) + make_option_opts(option);
    }
  }
  constexpr size_t kIndent = 7;  // below the name
  return "\n" + wrapped(usage + " [OPTIONS]", width_, kIndent) + "\n";
}

std::string HelpFormat::make_positionals(const CLI::App* app) const {
  const auto positionals =
      app->get_options([](const CLI::Option* option) { return option->get_positional(); });
  return positionals.empty() ? "" : make_group("Arguments", true, positionals);
}

std::string HelpFormat::make_option_name(const CLI::Option* option, bool is_positional) const {
  if (!is_positional) return option->get_name(false, true);
  const std::string& text = option->get_option_text();
  return text.empty() ? option->get_name(true, false) : text;
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  if (option->get_positional() || option->get_type_size() == 0) return "";
  const std::string& text = option->get_option_text();
  return " " + (text.empty() ? option->get_type_name() : text);
}

std::string HelpFormat::make_option_desc(const CLI::Option* option) const {
  const bool marked = option->get_required() && !option->get_positional();
  return wrapped(option->get_description() + (marked ? " (required)" : ""),
                 width_ - get_column_width());
}

std::string HelpFormat::make_description(const CLI::App* app) const {
  return wrapped(app->get_description(), width_) + "\n";
}

std::string HelpFormat::make_subcommand(const CLI::App* command) const {
  std::ostringstream out;
  CLI::detail::format_help(out, command->get_name(),
                           wrapped(command->get_description(), width_ - kCommandColumn),
                           kCommandColumn);
  return out.str();
}

std::string HelpFormat::make_footer(const CLI::App* app) const {
  const std::string footer = app->get_footer();
  return footer.empty() ? "" : wrapped(footer, width_) + "\n";
}

}  // namespace longgen
