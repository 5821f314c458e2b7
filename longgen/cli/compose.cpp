// longgen compose: long tasks made of the user's own corpus.
#include "longgen/data/compose/compose.h"

#include <algorithm>
#include <memory>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/base/nearest_name.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/document_options.h"
#include "longgen/cli/document_token_options.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/list_options.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/data/text_encoder.h"

namespace longgen {
namespace {

struct ComposeCommand {
  std::string model;
  std::vector<std::string> texts;
  std::string out;
  int64_t length = 0, threads = 0;
  std::vector<NamedShare> lengths, tasks;
  DocumentTokenOptions document_tokens;
  ComposeOptions options;
  bool json = false, quiet = false;
};

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const TaskKind& kind : task_kinds()) names.emplace_back(kind.name);
  return names;
}

std::vector<TaskShare> task_shares(const std::vector<NamedShare>& named) {
  std::vector<TaskShare> shares;
  for (const auto& [name, share] : named) {
    const auto kind = std::ranges::find(task_kinds(), name, &TaskKind::name);
    if (kind == task_kinds().end()) {
      throw UsageError(detail::concat("--tasks: there is no task \"", name, "\".",
                                      did_you_mean(name, task_names())));
    }
    shares.push_back({&*kind, share});
  }
  if (shares.empty()) {
    for (const TaskKind& kind : task_kinds()) shares.push_back({&kind, 1});
  }
  return shares;
}

std::vector<LengthShare> length_shares(const ComposeCommand& command) {
  if (command.length > 0) return {{command.length, 1}};
  std::vector<LengthShare> shares;
  for (const auto& [name, share] : command.lengths) {
    int64_t length = 0;
    try {
      length = parse_count(name, "--lengths");
    } catch (const Error& error) {
      throw UsageError(error.what());
    }
    if (std::ranges::find(shares, length, &LengthShare::num_tokens) != shares.end()) {
      throw UsageError("--lengths: " + name + " comes twice.");
    }
    shares.push_back({length, share});
  }
  return shares;
}

void check_usage(const ComposeCommand& command) {
  if ((command.length > 0) == !command.lengths.empty()) {
    throw UsageError("expected either --length N or --lengths LIST.");
  }
  if ((command.options.num_documents > 0) == (command.options.num_tokens > 0)) {
    throw UsageError("expected either --documents N or --tokens N.");
  }
  if (!command.out.ends_with(".jsonl") && !command.out.ends_with(".jsonl.zst")) {
    throw UsageError("--out: expected a name that ends in .jsonl or .jsonl.zst, found \"" +
                     command.out + "\".");
  }
}

OrderedJson parts_json(const std::vector<ComposeSummary::Part>& parts) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [name, documents, tokens] : parts) {
    json[name] = {{"documents", documents}, {"tokens", tokens}};
  }
  return json;
}

OrderedJson to_json(const ComposeSummary& summary, const ComposeOptions& options) {
  return {{"output", options.output.string()},
          {"documents", summary.num_documents},
          {"tokens", summary.num_tokens},
          {"kept_documents", summary.num_kept},
          {"answers", summary.num_answers},
          {"answer_bytes", summary.answer_bytes},
          {"tasks", parts_json(summary.tasks)},
          {"lengths", parts_json(summary.lengths)},
          {"corpus_documents", summary.corpus_documents},
          {"corpus_bytes", summary.corpus_bytes},
          {"bad_lines", summary.num_bad_lines},
          {"seconds", summary.seconds}};
}

std::string to_text(const ComposeSummary& summary, const ComposeOptions& options) {
  const auto parts_text = [](const char* title, const std::vector<ComposeSummary::Part>& parts) {
    std::string text;
    for (const auto& [name, documents, tokens] : parts) {
      std::string line = text.empty() ? title : "";
      line.resize(16, ' ');
      line += name;
      line.resize(std::max<size_t>(line.size() + 2, 28), ' ');
      text +=
          line + format_count(documents, "document") + ", " + format_count(tokens, "token") + "\n";
    }
    return text;
  };
  std::string text = detail::concat(
      options.output.string(), ": ", format_count(summary.num_documents, "document"), ", ",
      format_count(summary.num_tokens, "token"), " in ", format_duration(summary.seconds), "\n",
      "  corpus        ", format_count(summary.corpus_documents, "document"), ", ",
      format_bytes(summary.corpus_bytes), "\n");
  if (summary.num_kept > 0) {
    text += detail::concat("  kept          ", format_count(summary.num_kept, "document"),
                           " of an earlier run\n");
  }
  return text + parts_text("  tasks", summary.tasks) + parts_text("  lengths", summary.lengths);
}

int compose(ComposeCommand& command) {
  check_usage(command);
  ComposeOptions& options = command.options;
  options.inputs.assign(command.texts.begin(), command.texts.end());
  options.output = command.out;
  options.plan.lengths = length_shares(command);
  options.plan.tasks = task_shares(command.tasks);
  options.num_threads = static_cast<int>(command.threads);
  options.show_progress = !command.quiet;
  options.stop = &interrupted();
  const Tokenizer tokenizer = open_tokenizer(command.model);
  const DocumentTokens tokens =
      choose_document_tokens(tokenizer, command.model, command.document_tokens);
  const std::string name = fs::weakly_canonical(command.model).filename().string();
  catch_interrupts();
  const ComposeSummary summary =
      compose_documents(text_encoder(tokenizer, name, tokens.begin, tokens.end), options);
  if (summary.num_bad_lines > 0) {
    log_warning("left out: " + format_count(summary.num_bad_lines, "bad line"));
  }
  Output output;
  output.write(command.json ? dump_json(to_json(summary, options)) + "\n"
                            : to_text(summary, options));
  output.flush();
  return 0;
}

void add_amount_options(CLI::App* app, ComposeCommand& command) {
  add_count_option(app, "--length", command.length, 1, "tokens of each document");
  add_shares_option(app, "--lengths", command.lengths,
                    "instead: lengths, each with its share of the documents, such as 8K:3,32K");
  add_count_option(app, "--documents", command.options.num_documents, 1, "how many documents");
  add_count_option(app, "--tokens", command.options.num_tokens, 1,
                   "instead: as many documents as have so many tokens together");
}

}  // namespace

void add_compose(CommandSet& commands) {
  auto command = std::make_shared<ComposeCommand>();
  CLI::App* const app = commands.add(CommandGroup::data, "compose",
                                     "make long tasks of a corpus, for prepare and extend");
  app->add_option("MODEL", command->model, "model directory whose tokenizer counts")->required();
  app->add_option("--text", command->texts, "the corpus: files or folders as for prepare")
      ->option_text("FILE")
      ->required();
  app->add_option("--out", command->out, "JSON lines to write: NAME.jsonl or NAME.jsonl.zst")
      ->option_text("FILE")
      ->required();
  add_amount_options(app, *command);
  std::string kinds;
  for (const TaskKind& kind : task_kinds()) {
    kinds += detail::concat(kinds.empty() ? "" : "; ", kind.name, ": ", kind.what);
  }
  add_shares_option(app, "--tasks", command->tasks,
                    "tasks, each with its share of the documents, such as recall:2,chains "
                    "(default: all alike). " +
                        kinds);
  add_seed_option(app, command->options.plan.seed, "of the documents");
  add_text_field_option(app, command->options.text_field);
  add_skip_bad_flag(app, command->options.skip_bad);
  add_document_token_options(app, command->document_tokens);
  add_threads_option(app, command->threads);
  app->add_flag("--force", command->options.replace,
                "replace FILE if it exists, once the new one is whole");
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command] { return compose(*command); });
}

}  // namespace longgen
