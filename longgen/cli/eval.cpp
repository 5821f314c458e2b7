// longgen eval: quality. One file for each of its commands.
#include "longgen/cli/eval.h"

#include <cstdio>

#include "longgen/base/log.h"

namespace longgen {

std::string rounded(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

void say_files(const ReportFiles& files) {
  if (files.files.empty()) return;
  log_info("written: " + fs::path(files.files.front()).replace_extension().string() + ".*");
}

void add_eval_options(CLI::App* app, EvalCommand& command) {
  app->add_option("MODEL", command.models, "model directories; all read the same documents")
      ->option_text("MODEL...")
      ->required();
  app->add_option("--out", command.out, "folder for JSON, CSV and pictures (default: none)")
      ->option_text("DIR");
  add_count_option(app, "--chunk", command.chunk, 1,
                   "tokens that pass the layers at once (default 512, on a GPU 8192)");
  add_model_options(app, command.model_options);
  add_json_flag(app, command.json);
  add_quiet_flag(app, command.quiet);
}

void add_eval(CommandSet& commands) {
  CLI::App* const eval =
      commands.add(CommandGroup::evaluation, "eval", "measure quality: perplexity, needle");
  eval->require_subcommand(1);
  add_eval_perplexity(commands, eval);
  add_eval_needle(commands, eval);
}

}  // namespace longgen
