#include "longgen/cli/help_format.h"

#include <sstream>

namespace longgen {
namespace {

constexpr size_t kWidth = 100, kColumn = 28;

/// Breaks lines at spaces; line breaks of the text stay.
std::string wrapped(const std::string& text, size_t width) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!result.empty()) result += '\n';
    size_t length = 0;
    std::istringstream words(line);
    for (std::string word; words >> word; length += word.size()) {
      if (length > 0) {
        const bool fits = length + 1 + word.size() <= width;
        result += fits ? ' ' : '\n';
        length = fits ? length + 1 : 0;
      }
      result += word;
    }
  }
  return result;
}

}  // namespace

HelpFormat::HelpFormat() { column_width(kColumn); }

std::string HelpFormat::make_usage(const CLI::App* app, std::string name) const {
  std::string usage = "\nUsage: " + name;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) usage += " " + make_option_name(option, true);
  }
  if (app->get_parent() == nullptr) usage += " COMMAND";
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_positional() && option->get_required()) {
      usage += " " + make_option_name(option, false) + make_option_opts(option);
    }
  }
  return usage + " [OPTIONS]\n";
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
  return wrapped(option->get_description() + (marked ? " (required)" : ""), kWidth - kColumn);
}

std::string HelpFormat::make_description(const CLI::App* app) const {
  return wrapped(app->get_description(), kWidth) + "\n";
}

}  // namespace longgen
