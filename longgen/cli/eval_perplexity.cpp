// longgen eval perplexity: perplexity by position in a document.
#include <algorithm>
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/cli/document_options.h"
#include "longgen/cli/eval.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/list_options.h"
#include "longgen/cli/output.h"
#include "longgen/eval/contexts.h"
#include "longgen/eval/perplexity.h"
#include "longgen/eval/perplexity_page.h"
#include "longgen/eval/perplexity_report.h"
#include "longgen/eval/perplexity_text.h"
#include "longgen/report/model_names.h"

namespace longgen {
namespace {

struct PerplexityCommand : EvalCommand {
  DocumentSource source;
  int64_t length = 0, documents = 0, bucket = 0, first_bucket = 1024, targets = 256;
  std::vector<int64_t> contexts;
};

/// Returns token ids of the documents that are long enough, by this model's tokenizer.
std::vector<std::vector<int32_t>> read_documents(const PerplexityCommand& command,
                                                 const Tokenizer& tokenizer) {
  std::vector<std::vector<int32_t>> documents;
  int64_t num_short = 0, longest = 0;
  const auto add = [&](std::vector<int32_t> ids) {
    const auto size = static_cast<int64_t>(ids.size());
    longest = std::max(longest, size);
    if (size < command.length) {
      ++num_short;
    } else {
      documents.push_back(std::move(ids));
    }
    return command.documents == 0 || static_cast<int64_t>(documents.size()) < command.documents;
  };
  const DocumentSource& source = command.source;
  if (!source.data.empty()) {
    const TokenDataset dataset = open_documents(source.data, source.split, tokenizer.hash());
    for (int64_t d = 0; d < dataset.num_documents(); ++d) {
      if (!add(dataset.tokens(d))) break;
    }
  } else {
    for_each_document(
        {source.texts.begin(), source.texts.end()}, source.text_field, [&](std::string_view text) {
          return add(tokenizer.encode(text, {.add_special_tokens = true, .parse_special = false}));
        });
  }
  LG_CHECK(!documents.empty(), "no document has ", format_count(command.length),
           " tokens (--length); the longest of ", num_short, " has ", format_count(longest), ".");
  if (num_short > 0) {
    log_info(detail::concat("left out: ", format_count(num_short, "document"), " of fewer than ",
                            format_count(command.length), " tokens"));
  }
  return documents;
}

/// Says how the numbers came about.
OrderedJson settings_json(const PerplexityCommand& command,
                          const std::vector<EvalColumn>& columns) {
  OrderedJson directories = OrderedJson::array();
  for (const std::string& directory : command.models) {
    directories.push_back(report_directory(directory));
  }
  OrderedJson settings = {{"directories", directories},
                          {"length", command.length},
                          {"data", command.source.data},
                          {"texts", command.source.texts},
                          {"dtype", command.model_options.compute_dtype()}};
  if (!command.policies.empty()) settings["policies"] = policies_json(columns);
  if (!command.contexts.empty()) settings["targets"] = command.targets;
  return settings;
}

using Documents = std::vector<std::vector<int32_t>>;

std::vector<int64_t> bucket_edges(const PerplexityCommand& command) {
  return command.bucket > 0 ? uniform_edges(command.bucket, command.length)
                            : doubling_edges(command.first_bucket, command.length);
}

ContextOptions context_options(const PerplexityCommand& command) {
  return {.contexts = command.contexts,
          .length_tokens = command.length,
          .num_targets = command.targets,
          .chunk = command.chunk};
}

/// Counts the special tokens that a document begins with (BOS): texts cannot spell them.
int64_t num_begin_tokens(const std::vector<int32_t>& document, const Tokenizer& tokenizer) {
  const auto text = std::find_if(document.begin(), document.end(),
                                 [&](int32_t id) { return !tokenizer.is_special(id); });
  return text - document.begin();
}

ModelPerplexity measure(const PerplexityCommand& command, const LoadedModel& model,
                        const EvalColumn& column, const Documents& documents) {
  ContextOptions contexts = context_options(command);
  contexts.policy = column.policy;
  contexts.num_begin_tokens = num_begin_tokens(documents.front(), model.tokenizer);
  const auto num_documents = static_cast<int64_t>(documents.size());
  const int64_t total = num_documents * command.length;
  std::optional<Progress> progress;
  if (!command.quiet) {
    progress.emplace(column.name, total + num_documents * contexts.tokens_of_document(), "tokens");
  }
  PerplexityOptions options{
      .edges = bucket_edges(command), .chunk = command.chunk, .policy = column.policy};
  options.on_progress = [&](int64_t done) {
    if (progress) progress->update(done);
    return !interrupted();
  };
  contexts.on_progress = [&](int64_t done) { return options.on_progress(total + done); };
  ModelPerplexity result{column.name, measure_perplexity(model.decoder, documents, options)};
  if (!command.contexts.empty() && !interrupted()) {
    std::vector<ContextNll> measured = measure_contexts(model.decoder, documents, contexts);
    if (!measured.front().documents.empty()) result.contexts = std::move(measured);
  }
  if (progress) progress->finish();
  return result;
}

/// Says of each model whether it reads the same tokens as the first one: the ids that are read.
class FirstDocuments {
 public:
  explicit FirstDocuments(int64_t length) : length_(static_cast<size_t>(length)) {}

  /// Keeps the documents of the first model. Warns of a later one that reads others.
  bool reads_same(Documents documents, const std::string& name) {
    for (std::vector<int32_t>& document : documents) document.resize(length_);
    if (documents_.empty()) {
      documents_ = std::move(documents);
      name_ = name;
      return true;
    }
    if (documents == documents_) return true;
    log_warning(name + ": its tokenizer makes other tokens of the documents than that of " + name_ +
                ". Their perplexities are of different tokens and are not compared.");
    return false;
  }

 private:
  size_t length_;
  Documents documents_;
  std::string name_;
};

/// Writes the files of --out and the page of --html.
void write_reports(const PerplexityCommand& command, const std::vector<ModelPerplexity>& models,
                   const OrderedJson& settings, std::string& problem) {
  if (!command.out.empty()) {
    const auto options = [&](const std::string& name) {
      return ReportOptions{.folder = command.out, .name = name, .settings = settings};
    };
    write_files([&] { return write_perplexity_report(models, options("perplexity")); }, problem);
    if (!models.front().contexts.empty()) {
      write_files([&] { return write_context_report(models, options("contexts")); }, problem);
    }
  }
  if (command.html.empty()) return;
  ReportPage page = perplexity_page(models);
  std::string sources = command.source.data;
  for (const std::string& text : command.source.texts)
    sources += (sources.empty() ? "" : "\n") + text;
  page.facts = {{"documents", sources}, {"tokens of each", format_count(command.length)}};
  write_page(command, std::move(page), problem);
}

int eval_perplexity(const PerplexityCommand& command) {
  expect_documents(command.source);
  if (!command.contexts.empty()) context_options(command).check();
  bucket_edges(command);  // refuses what does not fit before anything is loaded
  check_paths(command);
  const std::vector<EvalColumn> columns = eval_columns(command);
  for (const EvalColumn& column : columns) {
    if (column.policy) column.policy->check_text("--policy");
  }
  catch_interrupts();
  std::vector<ModelPerplexity> models;
  FirstDocuments first(command.length);
  for (size_t i = 0; i < columns.size() && !interrupted(); ++i) {
    const LoadedModel model = load_with_tokenizer(columns[i].directory, command.model_options);
    const Documents documents = read_documents(command, model.tokenizer);
    models.push_back(measure(command, model, columns[i], documents));
    models.back().reads_same_tokens = first.reads_same(documents, columns[i].name);
  }
  LG_CHECK(!models.empty() && models.front().buckets.num_documents() > 0,
           "stopped before the first document was done.");
  const OrderedJson settings = settings_json(command, columns);
  Output output;
  output.write(command.json ? dump_json(perplexity_json(models, settings)) + "\n"
                            : perplexity_text(models));
  output.flush();
  std::string problem;
  write_reports(command, models, settings, problem);
  LG_CHECK(problem.empty(), problem);
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_eval_perplexity(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<PerplexityCommand>();
  CLI::App* const app =
      commands.add_part(eval, "perplexity", "perplexity by position in a document");
  add_eval_options(app, *command);
  add_html_option(app, command->html);
  add_document_source_options(app, command->source);
  add_count_option(app, "--length", command->length, 2,
                   "tokens of each document; shorter documents are left out")
      ->required();
  add_count_option(app, "--documents", command->documents, 1, "documents at most (default: all)");
  add_count_option(app, "--first-bucket", command->first_bucket, 1,
                   "tokens of the first bucket; each next one doubles the position (default 1K)");
  add_count_option(app, "--bucket", command->bucket, 1, "buckets of this many tokens instead");
  CLI::Option* const contexts =
      add_counts_option(app, "--contexts", command->contexts,
                        "also what context buys: the last tokens of each document, predicted from "
                        "the last 1K, 2K, ... of it; commas between, ascending");
  add_count_option(app, "--targets", command->targets, 1,
                   "tokens that --contexts predicts of each document (default 256)")
      ->needs(contexts);
  add_policy_option(app, *command, "streaming:TOKENS, h2o:TOKENS");
  commands.on_run(app, [command, &commands] {
    command->command_line = commands.command_line();
    return eval_perplexity(*command);
  });
}

}  // namespace longgen
