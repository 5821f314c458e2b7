// longgen eval needle: a number hidden in a long text.
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/api/stop_tokens.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/cli/eval.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/list_options.h"
#include "longgen/cli/output.h"
#include "longgen/eval/needle_page.h"
#include "longgen/eval/needle_report.h"
#include "longgen/eval/needle_run.h"
#include "longgen/eval/needle_text.h"
#include "longgen/eval/read_haystack.h"
#include "longgen/plan/table.h"
#include "longgen/report/model_names.h"

namespace longgen {
namespace {

struct NeedleCommand : EvalCommand {
  std::vector<std::string> lengths = {"4K", "8K", "16K"};
  std::vector<double> depths = {0, 25, 50, 75, 100};
  std::string haystack;  // a text file; empty: noise
  int64_t samples = 1, new_tokens = 32;
  uint64_t seed = 42;
  bool chat = false;
};

Haystack make_haystack(const std::string& file) {
  if (file.empty()) return Haystack::noise();
  return read_haystack({file});
}

std::string needle_text(const NeedleGrid& grid, const NeedleCommand& command) {
  std::vector<std::vector<std::string>> rows = {{"depth"}};
  for (const std::string& length : command.lengths) rows[0].push_back(length);
  for (const double depth : command.depths) {
    std::vector<std::string> row = {rounded(depth, 0) + "%"};
    for (const std::string& length : command.lengths) {
      std::string cell_text = "-";
      for (const NeedleCell& cell : grid.cells) {
        if (cell.depth_percent == depth && cell.length_tokens == parse_count(length, "--lengths")) {
          cell_text = std::to_string(cell.num_found) + "/" + std::to_string(cell.num_samples);
        }
      }
      row.push_back(cell_text);
    }
    rows.push_back(row);
  }
  return grid.model + ": needles found, of " + grid.haystack + " haystacks\n" + format_table(rows);
}

NeedleRunOptions run_options(const NeedleCommand& command) {
  NeedleRunOptions options;
  for (const std::string& length : command.lengths) {
    options.lengths_tokens.push_back(parse_count(length, "--lengths"));
  }
  options.depths_percent = command.depths;
  options.num_samples = command.samples;
  options.chunk = command.chunk;
  return options;
}

NeedleResult run_column(const NeedleCommand& command, const EvalColumn& column,
                        const Haystack& haystack) {
  const std::string& directory = column.directory;
  const LoadedModel model = load_with_tokenizer(directory, command.model_options);
  NeedleOptions task_options{.new_tokens = command.new_tokens, .seed = command.seed};
  std::shared_ptr<const ChatTemplate> format;
  if (command.chat) {
    format = std::make_shared<const ChatTemplate>(ChatTemplate::load(directory));
    task_options.wrap = chat_wrap(format);
  }
  NeedleRunOptions options = run_options(command);
  options.policy = column.policy;
  options.stop_tokens =
      find_stop_tokens(model.tokenizer, directory,
                       format ? format->stop_tokens(model.tokenizer) : std::vector<std::string>());
  std::optional<Progress> progress;
  if (!command.quiet) progress.emplace(column.name, options.total_tokens(), "tokens");
  options.on_progress = [&](int64_t done, const std::string& note) {
    if (progress) progress->update(done, note);
    return !interrupted();
  };
  const NeedleTask task(model.tokenizer, haystack, task_options);
  const NeedleResult result = run_needle(model.decoder, model.tokenizer, task, options);
  if (progress) progress->finish();
  return result;
}

OrderedJson settings_json(const NeedleCommand& command, const EvalColumn& column,
                          const Haystack& haystack) {
  OrderedJson settings = {{"directory", report_directory(column.directory)},
                          {"seed", command.seed},
                          {"new_tokens", command.new_tokens},
                          {"chat", command.chat},
                          {"dtype", command.model_options.compute_dtype()},
                          {"haystack", haystack.source()}};
  if (column.policy) settings["policy"] = column.policy->name();
  return settings;
}

int eval_needle(const NeedleCommand& command) {
  check_paths(command);
  const std::vector<EvalColumn> columns = eval_columns(command);
  for (const std::string& directory : command.models) {  // before the first has run for long
    if (command.chat) (void)ChatTemplate::load(directory);
  }
  const Haystack haystack = make_haystack(command.haystack);
  catch_interrupts();
  Output output;
  std::string problem;
  OrderedJson all = OrderedJson::array();
  std::vector<NeedleGrid> grids;
  for (const EvalColumn& column : columns) {
    const NeedleResult result = run_column(command, column, haystack);
    if (result.cells.empty()) break;
    grids.push_back({column.name, haystack.kind(), result.cells, result.replies});
    const NeedleGrid& grid = grids.back();
    const NeedleGrid* const first = grids.size() > 1 ? &grids.front() : nullptr;
    const OrderedJson settings = settings_json(command, column, haystack);
    all.push_back(needle_json(grid, settings, first));
    if (!command.json) {
      output.write(needle_text(grid, command));
      if (first != nullptr) output.write(needle_difference_text(*first, grid));
      output.flush();
    }
    if (!command.out.empty()) {
      const std::string report =
          model_report_name(command.out, "needle", column.name, column.directory,
                            column.policy ? column.policy->name() : "");
      write_files(
          [&] {
            return write_needle_report(
                grid, {.folder = command.out, .name = report, .settings = settings}, first);
          },
          problem);
    }
    if (interrupted()) break;
  }
  if (command.json) output.write(dump_json(OrderedJson{{"models", all}}) + "\n");
  output.flush();
  if (!command.html.empty() && !grids.empty()) {
    ReportPage page = needle_page(grids);
    page.facts = {{"haystack", haystack.source()}, {"seed", std::to_string(command.seed)}};
    write_page(command, std::move(page), problem);
  }
  LG_CHECK(problem.empty(), problem);
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_eval_needle(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<NeedleCommand>();
  CLI::App* const app = commands.add_part(
      eval, "needle", "RULER's single needle: find a number in a long text, by depth and length");
  add_eval_options(app, *command);
  add_html_option(app, command->html);
  add_list_option(app, "--lengths", command->lengths, "tokens, commas between (default 4K,8K,16K)");
  add_numbers_option(app, "--depths", command->depths, 0, 100,
                     "percent, commas between (default 0,25,50,75,100)");
  add_count_option(app, "--samples", command->samples, 1, "samples of each cell (default 1)");
  app->add_option("--haystack", command->haystack,
                  "text whose sentences hide the needle (default: RULER's noise)")
      ->option_text("FILE");
  add_count_option(app, "--new-tokens", command->new_tokens, 1,
                   "tokens of a reply at most (default 32; RULER has 128)");
  add_seed_option(app, command->seed, "of the samples");
  add_policy_option(app, *command, "streaming:TOKENS, h2o:TOKENS, pyramidkv:TOKENS");
  app->add_flag("--chat", command->chat, "ask in the model's chat format");
  commands.on_run(app, [command, &commands] {
    command->command_line = commands.command_line();
    return eval_needle(*command);
  });
}

}  // namespace longgen
