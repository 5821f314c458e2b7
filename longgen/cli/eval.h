// cli/eval.h: what the commands of `longgen eval` share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/chat/chat_template.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/engine/session.h"
#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/prompt_fitter.h"
#include "longgen/report/html_page.h"
#include "longgen/report/report_files.h"

namespace longgen {

struct EvalCommand {
  std::vector<std::string> models;
  std::vector<std::string> policies;  // as --policy has them
  ModelOptions model_options;
  int64_t chunk = kDefaultPrefillChunk;
  std::string out;           // folder of the report; none: no files
  std::string html;          // file of the page; none: no page
  std::string command_line;  // what the page says of how it was made
  bool json = false, quiet = false;
};

void add_eval_options(CLI::App* app, EvalCommand& command);

void add_eval_perplexity(CommandSet& commands, CLI::App* eval);
void add_eval_needle(CommandSet& commands, CLI::App* eval);
void add_eval_suite(CommandSet& commands, CLI::App* eval);

/// Puts a prompt into the user's turn of the format.
PromptWrap chat_wrap(std::shared_ptr<const ChatTemplate> format);

std::string rounded(double value, int digits);
/// Checks the paths before anything is loaded. Throws Error on a path that is no model directory
/// and on a folder of the report or a page that cannot be written.
void check_paths(const EvalCommand& command);

/// A model, or the first one under a cache policy: what a column of a table is of.
struct EvalColumn {
  std::string directory, name;
  std::optional<CachePolicy> policy = {};
};

/// Adds --policy, which all commands have that make columns. `kinds` are those that it may take.
void add_policy_option(CLI::App* app, EvalCommand& command, const std::string& kinds);

/// The models, and behind the first one this model under each policy ("full+h2o:1024"). Throws
/// Error on a policy that is named twice or that the model cannot have.
std::vector<EvalColumn> eval_columns(const EvalCommand& command);

/// Lists the policies of columns, as settings of a report have them.
OrderedJson policies_json(const std::vector<EvalColumn>& columns);

/// Writes the page of --html, with the models' directories and how they computed among its facts.
/// What goes wrong is kept in `problem`, as write_files() does.
void write_page(const EvalCommand& command, ReportPage page, std::string& problem);

/// Writes a report's files by `write` and tells on stderr which. What goes wrong is kept in
/// `problem`, unless there was something before: results are printed whatever happens to files.
void write_files(const std::function<ReportFiles()>& write, std::string& problem);

}  // namespace longgen
