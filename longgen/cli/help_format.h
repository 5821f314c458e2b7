// cli/help_format.h: how --help looks.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace longgen {

/// Names arguments as their option_text() says, fits everything to the terminal's width, and marks
/// required options.
class HelpFormat : public CLI::Formatter {
 public:
  /// Formats for 80 columns, or fewer where stdout is a narrower terminal.
  HelpFormat();
  explicit HelpFormat(size_t width);

  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_positionals(const CLI::App* app) const override;
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_description(const CLI::App* app) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_footer(const CLI::App* app) const override;

 private:
  size_t width_;
};

}  // namespace longgen
