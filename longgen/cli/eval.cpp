// longgen eval: quality. One file for each of its commands.
#include "longgen/cli/eval.h"

#include <cstdio>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/list_options.h"
#include "longgen/model/model_path.h"
#include "longgen/report/model_names.h"

namespace longgen {

std::string rounded(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

PromptWrap chat_wrap(std::shared_ptr<const ChatTemplate> format) {
  return [format = std::move(format)](const std::string& prompt) -> WrappedPrompt {
    ChatRequest request{.add_generation_prompt = true};
    request.messages.push_back(chat_message("user", prompt));
    RenderedChat chat = format->render(request);
    return {std::move(chat.text), std::move(chat.written)};
  };
}

void check_paths(const EvalCommand& command) {
  for (const std::string& model : command.models) expect_model_directory(model);
  if (!command.out.empty()) try_report_folder(command.out);
  try_html_file(command.html);
}

std::vector<EvalColumn> eval_columns(const EvalCommand& command) {
  const std::vector<std::string> names = model_names(command.models);
  std::vector<EvalColumn> columns;
  for (size_t i = 0; i < names.size(); ++i) columns.push_back({command.models[i], names[i]});
  std::vector<EvalColumn> under_policies;
  for (const std::string& text : command.policies) {
    const CachePolicy policy = CachePolicy::parse(text, "--policy");
    const EvalColumn column = {command.models.front(), names.front() + "+" + policy.name(), policy};
    for (const EvalColumn& other : under_policies) {
      LG_CHECK(other.name != column.name, "--policy: found ", policy.name(), " twice.");
    }
    under_policies.push_back(column);
  }
  if (!under_policies.empty()) {
    const ModelConfig config = load_model_config(command.models.front());
    for (const EvalColumn& column : under_policies) {
      column.policy->check_model(config, command.models.front());
    }
  }
  columns.insert(columns.begin() + 1, under_policies.begin(), under_policies.end());
  return columns;
}

OrderedJson policies_json(const std::vector<EvalColumn>& columns) {
  OrderedJson policies = OrderedJson::array();
  for (const EvalColumn& column : columns) {
    if (column.policy) policies.push_back(column.policy->name());
  }
  return policies;
}

void write_page(const EvalCommand& command, ReportPage page, std::string& problem) {
  std::string directories;
  for (const std::string& model : command.models) {
    directories += (directories.empty() ? "" : "\n") + report_directory(model);
  }
  page.facts.insert(page.facts.begin(), {{"models", directories},
                                         {"device", command.model_options.device},
                                         {"precision", command.model_options.compute_dtype()}});
  try {
    write_html_report(std::move(page), command.command_line, command.html);
  } catch (const Error& error) {
    if (problem.empty()) problem = error.what();
  }
}

void write_files(const std::function<ReportFiles()>& write, std::string& problem) {
  try {
    const ReportFiles files = write();
    log_info("written: " + fs::path(files.files.at(0)).replace_extension().string() + ".*");
  } catch (const Error& error) {
    if (problem.empty()) problem = error.what();
  }
}

void add_eval_options(CLI::App* app, EvalCommand& command) {
  app->add_option("MODEL", command.models, "model directories to measure, one after the other")
      ->option_text("MODEL...")
      ->required();
  app->add_option("--out", command.out, "folder for JSON, CSV and pictures (default: none)")
      ->option_text("DIR");
  add_prefill_chunk_option(app, command.chunk);
  add_model_options(app, command.model_options);
  add_json_flag(app, command.json);
  add_quiet_flag(app, command.quiet);
}

void add_policy_option(CLI::App* app, EvalCommand& command, const std::string& kinds) {
  add_list_option(
      app, "--policy", command.policies,
      "also the first model with a part of its KV cache: " + kinds + "; commas between");
}

void add_eval(CommandSet& commands) {
  CLI::App* const eval =
      commands.add(CommandGroup::evaluation, "eval", "measure quality: perplexity, needle, suite");
  add_eval_perplexity(commands, eval);
  add_eval_needle(commands, eval);
  add_eval_suite(commands, eval);
}

}  // namespace longgen
