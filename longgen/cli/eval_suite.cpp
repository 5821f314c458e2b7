// longgen eval suite: the same items for all models, their scores, and how far models differ.
#include <algorithm>
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/api/stop_tokens.h"
#include "longgen/base/check.h"
#include "longgen/base/folder_lock.h"
#include "longgen/base/host.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/chat/chat_template.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/cli/eval.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/list_options.h"
#include "longgen/cli/output.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/eval/suite/run_task.h"
#include "longgen/eval/suite/suite_page.h"
#include "longgen/eval/suite/suite_report.h"
#include "longgen/eval/tasks/open_tasks.h"
#include "longgen/plan/table.h"
#include "longgen/report/model_names.h"
#include "longgen/tokenizer/special_tokens.h"

namespace longgen {
namespace {

struct SuiteCommand : EvalCommand {
  std::vector<std::string> tasks, lengths, texts;
  std::string items;
  int64_t samples = 0, shots = 0, max_kv = 0;
  uint64_t seed = 42;
  bool chat = false;
};

std::shared_ptr<const ChatTemplate> load_chat(const std::string& directory) {
  return std::make_shared<const ChatTemplate>(ChatTemplate::load(directory));
}

/// Opens the tasks with the first model's tokenizer and chat format, which all models get then.
std::vector<TaskResults> open_results(const SuiteCommand& command, const Tokenizer& tokenizer) {
  OpenTasksOptions options{.names = command.tasks,
                           .folder = command.items,
                           .lengths_tokens = {},
                           .texts = {command.texts.begin(), command.texts.end()},
                           .samples = command.samples,
                           .seed = command.seed,
                           .shots = command.shots};
  for (const std::string& length : command.lengths) {
    options.lengths_tokens.push_back(parse_count(length, "--lengths"));
  }
  if (command.chat) options.wrap = chat_wrap(load_chat(command.models.front()));
  std::vector<TaskResults> results;
  for (SuiteTask& task : open_tasks(tokenizer, options)) results.push_back({std::move(task), {}});
  return results;
}

/// Reads what is small of every model, so that what is wrong with a later one is told before an
/// earlier one has run for hours. Warns of prompts that are longer than a model's context.
void check_models(const SuiteCommand& command, const std::vector<TaskResults>& results) {
  int64_t longest = 0;
  for (const TaskResults& task : results) longest = std::max(longest, task.task.length_tokens);
  for (const std::string& directory : command.models) {
    const ModelConfig config = load_model_config(directory);
    (void)open_tokenizer(directory);
    if (command.chat) (void)load_chat(directory);
    if (longest <= config.context) continue;
    log_warning(detail::concat("--lengths ", format_count(longest), ": longer than the context of ",
                               directory, ", ", format_count(config.context),
                               " tokens: prompts lose their beginning, and what stands in it."));
  }
}

/// Stands for what the model computes: its config, tokenizer and weights.
std::string model_hash(const std::string& directory) {
  std::string parts;
  for (const fs::path& file : list_files(directory)) {
    const std::string ending = file.extension().string();
    if (ending != ".json" && ending != ".safetensors" && ending != ".jinja") continue;
    parts += file.lexically_relative(directory).generic_string() + " " + hash_file(file) + "\n";
  }
  return hash_hex(parts);
}

/// What KV caches may take where --max-kv does not say: a part of what is free, because weights
/// that are loaded later and activations need room too.
std::optional<int64_t> kv_bytes(const SuiteCommand& command, const at::Device& device) {
  if (command.max_kv > 0) return command.max_kv;
  const int64_t free =
      device.is_cuda() ? gpu_memory(device).free : machine_memory().available_bytes;
  if (free <= 0) return std::nullopt;
  return free / 10 * (device.is_cuda() ? 7 : 5);
}

std::unique_ptr<Engine> make_engine(const SuiteCommand& command, const Decoder& decoder) {
  try {
    return std::make_unique<Engine>(
        decoder, EngineOptions{.max_kv_bytes = kv_bytes(command, decoder.device())});
  } catch (const Error& error) {
    if (command.max_kv == 0) throw;
    LG_FAIL("--max-kv ", command.max_kv, ": ", error.what());
  }
}

PromptFormat prompt_format(const LoadedModel& model, const std::string& directory,
                           const std::shared_ptr<const ChatTemplate>& chat) {
  PromptFormat format{.context_tokens = model.decoder.config().context};
  if (chat) format.wrap = chat_wrap(chat);
  const auto special = read_special_tokens(directory);
  for (const char* name : {"eos_token", "bos_token"}) {  // the last one that is there
    const auto token = special.find(name);
    if (token == special.end()) continue;
    if (const auto id = model.tokenizer.token_id(token->second)) format.empty_context = id;
  }
  return format;
}

/// The folder of a column's items: DIR/items/NAME.
fs::path items_folder(const SuiteCommand& command, std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return fs::path(command.out) / "items" / name;
}

/// Finishes one task and says how fast that was. Returns false where it was stopped.
bool add_run(const SuiteModel& model, const std::string& name, ItemLog& log,
             const RunTaskOptions& options, TaskResults& task) {
  TaskRun run = run_task(task.task, model, log, options);
  if (run.num_new > 0) {
    log_info(detail::concat(name, ", ", task.task.label(), ": ", format_count(run.num_new, "item"),
                            ", ", format_count(run.tokens, "token"), " in ",
                            format_duration(run.seconds), ", ",
                            format_si(static_cast<double>(run.tokens) / run.seconds), " tokens/s"));
  }
  task.models.push_back(std::move(run.items));
  return run.finished;
}

/// Runs the tasks one after the other, with the items of each in a file of the folder. `settings`
/// are those of the model. Tasks that an interrupt leaves out get no items.
void run_tasks(const SuiteModel& model, const std::string& name, const fs::path& folder,
               const OrderedJson& settings, bool quiet, std::vector<TaskResults>& results) {
  int64_t total = 0, done = 0;
  for (const TaskResults& task : results) total += task.task.num_items;
  std::optional<Progress> progress;
  if (!quiet) progress.emplace(name, total, "items");
  bool goes_on = true;
  for (TaskResults& task : results) {
    if (!goes_on) {
      task.models.emplace_back(static_cast<size_t>(task.task.num_items));
      continue;
    }
    OrderedJson of_task = settings;
    of_task["task"] = task.task.label();
    of_task.update(task.task.settings);
    ItemLog log(folder / (task.task.label() + ".jsonl"), of_task);
    RunTaskOptions options;
    options.goes_on = [] { return !interrupted(); };
    options.on_progress = [&](int64_t items) {
      if (progress) progress->update(done + items, task.task.label());
    };
    goes_on = add_run(model, name, log, options, task);
    done += task.task.num_items;
  }
  if (progress) progress->finish();
}

/// Adds what one model, or policy, gives to the results.
void run_column(const SuiteCommand& command, const EvalColumn& column,
                std::vector<TaskResults>& results) {
  const std::string& directory = column.directory;
  const LoadedModel model = load_with_tokenizer(directory, command.model_options);
  std::shared_ptr<const ChatTemplate> chat;
  if (command.chat) chat = load_chat(directory);
  const PromptEncoder encoder(model.tokenizer, prompt_format(model, directory, chat));
  const at::Device device = model.decoder.device();
  std::unique_ptr<Engine> engine = make_engine(command, model.decoder);
  const auto stop_names = chat ? chat->stop_tokens(model.tokenizer) : std::vector<std::string>();
  const SuiteModel suite_model{*engine,
                               model.tokenizer,
                               encoder,
                               find_stop_tokens(model.tokenizer, directory, stop_names),
                               prefill_chunk(command.chunk, device),
                               column.policy};
  const fs::path folder = items_folder(command, column.name);
  make_folder(folder);
  const FolderLock lock(folder);
  LG_CHECK(!lock.held_by_another(), folder.string(),
           ": another run writes its items here. Wait for it, or use another --out.");
  OrderedJson settings = {{"model", model_hash(directory)},
                          {"dtype", command.model_options.compute_dtype()},
                          {"chat", command.chat}};
  if (column.policy) settings["policy"] = column.policy->name();
  run_tasks(suite_model, column.name, folder, settings, command.quiet, results);
}

OrderedJson settings_json(const SuiteCommand& command, const std::vector<EvalColumn>& columns) {
  OrderedJson directories = OrderedJson::array();
  for (const std::string& directory : command.models) {
    directories.push_back(report_directory(directory));
  }
  return {{"directories", directories},
          {"policies", policies_json(columns)},
          {"samples", command.samples},
          {"seed", command.seed},
          {"shots", command.shots},
          {"chat", command.chat},
          {"dtype", command.model_options.compute_dtype()}};
}

int eval_suite(const SuiteCommand& command) {
  check_paths(command);
  const std::vector<EvalColumn> columns = eval_columns(command);
  const Tokenizer tokenizer = open_tokenizer(command.models.front());
  std::vector<TaskResults> results = open_results(command, tokenizer);
  check_models(command, results);
  const OrderedJson settings = settings_json(command, columns);
  catch_interrupts();
  std::vector<std::string> measured;
  OrderedJson json;
  const fs::path file = fs::path(command.out) / "results.json";
  std::string problem;
  for (size_t i = 0; i < columns.size() && !interrupted(); ++i) {
    run_column(command, columns[i], results);
    measured.push_back(columns[i].name);
    json = suite_json(results, measured, settings);
    try {
      write_file(file, dump_json(json, 2) + "\n");
    } catch (const Error& error) {  // results are printed whatever happens to files
      problem = error.what();
    }
  }
  LG_CHECK(!measured.empty(), "stopped before the first item was done.");
  Output output;
  output.write(command.json
                   ? dump_json(json) + "\n"
                   : format_table(suite_table(results, measured)) + suite_notes(results, measured));
  output.flush();
  if (!command.html.empty()) {
    ReportPage page = suite_page(results, measured);
    page.facts = {{"samples", std::to_string(command.samples)},
                  {"seed", std::to_string(command.seed)}};
    write_page(command, std::move(page), problem);
  }
  LG_CHECK(problem.empty(), problem);
  log_info("written: " + file.string());
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_eval_suite(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<SuiteCommand>();
  CLI::App* const app = commands.add_part(
      eval, "suite", "tasks that models are judged by: choices and replies, compared in pairs");
  add_eval_options(app, *command);
  app->get_option("--out")->required()->description(
      "folder for the results and each model's items; a run that was stopped goes on there");
  add_list_option(app, "--tasks", command->tasks,
                  "ruler, babilong, short, tasks of them, jsonl:FILE; commas between")
      ->required();
  app->add_option("--items", command->items, "folder with the files of the tasks")
      ->option_text("DIR");
  add_list_option(app, "--lengths", command->lengths,
                  "tokens of ruler and babilong, commas between (default 4K,8K,16K)");
  app->add_option("--text", command->texts,
                  "files or folders of text that ruler and babilong hide things in")
      ->option_text("FILE...");
  add_count_option(app, "--samples", command->samples, 1,
                   "items of each task (default: all; of ruler and babilong 20)");
  add_seed_option(app, command->seed, "of the samples");
  add_policy_option(app, *command, "streaming:TOKENS, h2o:TOKENS, pyramidkv:TOKENS");
  add_count_option(app, "--shots", command->shots, 0, "solved questions before each of MMLU");
  app->add_flag("--chat", command->chat, "ask in the model's chat format");
  add_count_option(app, "--max-kv", command->max_kv, 1,
                   "bytes that KV caches take at most (default: a part of what is free)");
  add_html_option(app, command->html);
  commands.on_run(app, [command, &commands] {
    command->command_line = commands.command_line();
    return eval_suite(*command);
  });
}

}  // namespace longgen
