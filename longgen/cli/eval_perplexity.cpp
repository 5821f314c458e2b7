// longgen eval perplexity: perplexity by position in a document.
#include <memory>
#include <optional>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/cli/eval.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/output.h"
#include "longgen/data/dataset_format.h"
#include "longgen/data/documents.h"
#include "longgen/data/token_dataset.h"
#include "longgen/eval/perplexity.h"
#include "longgen/eval/perplexity_report.h"
#include "longgen/plan/table.h"
#include "longgen/report/model_names.h"

namespace longgen {
namespace {

struct PerplexityCommand : EvalCommand {
  std::vector<std::string> texts;
  std::string data, split = "held_out", text_field = "text";
  int64_t length = 0, documents = 0, bucket = 0, first_bucket = 1024;
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
  if (!command.data.empty()) {
    const TokenDataset dataset = TokenDataset::open(command.data, command.split);
    dataset.expect_tokenizer(tokenizer.hash());
    LG_CHECK(dataset.num_documents() > 0, command.data, ": the split ", command.split,
             " has no documents.",
             command.split == kHeldOutSplit
                 ? " Measure what training reads (--split train), or prepare the dataset with "
                   "--held-out above 0."
                 : "");
    for (int64_t d = 0; d < dataset.num_documents(); ++d) {
      if (!add(dataset.tokens(d))) break;
    }
  } else {
    const std::vector<fs::path> inputs(command.texts.begin(), command.texts.end());
    for_each_document(inputs, command.text_field, [&](std::string_view text) {
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

std::string range_name(int64_t begin, int64_t end) {
  return format_count(begin) + "-" + format_count(end);
}

std::string perplexity_text(const std::vector<ModelPerplexity>& models) {
  std::vector<std::vector<std::string>> rows = {{"position"}};
  for (const ModelPerplexity& model : models) rows[0].push_back(model.name);
  const PositionBuckets& first = models.front().buckets;
  const auto add_row = [&](const std::string& name, const auto& summary_of) {
    std::vector<std::string> row = {name};
    for (const ModelPerplexity& model : models) {
      const BucketSummary summary = summary_of(model.buckets);
      row.push_back(summary.num_tokens > 0 ? rounded(summary.perplexity, 3) : "-");
    }
    rows.push_back(row);
  };
  for (int64_t i = 0; i < first.num_buckets(); ++i) {
    add_row(range_name(first.edges()[i], first.edges()[i + 1]),
            [i](const PositionBuckets& buckets) { return buckets.bucket(i); });
  }
  add_row("all", [](const PositionBuckets& buckets) { return buckets.overall(); });
  return detail::concat("perplexity of ", format_count(first.num_documents(), "document"), ", ",
                        format_count(first.overall().num_tokens, "token"), "\n",
                        format_table(rows));
}

/// Says how the numbers came about.
OrderedJson settings_json(const PerplexityCommand& command) {
  OrderedJson directories = OrderedJson::array();
  for (const std::string& directory : command.models) {
    directories.push_back(report_directory(directory));
  }
  return {{"directories", directories},
          {"length", command.length},
          {"data", command.data},
          {"texts", command.texts},
          {"dtype", command.model_options.compute_dtype()}};
}

int eval_perplexity(const PerplexityCommand& command) {
  LG_CHECK(command.texts.empty() != command.data.empty(),
           "give the documents by either --text FILE or --data DATASET.");
  check_paths(command);
  const std::vector<int64_t> edges = command.bucket > 0
                                         ? uniform_edges(command.bucket, command.length)
                                         : doubling_edges(command.first_bucket, command.length);
  catch_interrupts();
  std::vector<ModelPerplexity> models;
  const std::vector<std::string> names = model_names(command.models);
  for (size_t i = 0; i < names.size(); ++i) {
    const LoadedModel model = load_with_tokenizer(command.models[i], command.model_options);
    const auto documents = read_documents(command, model.tokenizer);
    std::optional<Progress> progress;
    const auto total = static_cast<int64_t>(documents.size()) * command.length;
    if (!command.quiet) progress.emplace(names[i], total, "tokens");
    PerplexityOptions options{.edges = edges, .chunk = command.chunk};
    options.on_progress = [&](int64_t done) {
      if (progress) progress->update(done);
      return !interrupted();
    };
    models.push_back({names[i], measure_perplexity(model.decoder, documents, options)});
    if (progress) progress->finish();
    if (interrupted()) break;
  }
  LG_CHECK(models.front().buckets.num_documents() > 0,
           "stopped before the first document was done.");
  const OrderedJson settings = settings_json(command);
  Output output;
  output.write(command.json ? dump_json(perplexity_json(models, settings)) + "\n"
                            : perplexity_text(models));
  output.flush();
  std::string problem;
  if (!command.out.empty()) {
    write_files(
        [&] {
          return write_perplexity_report(
              models, {.folder = command.out, .name = "perplexity", .settings = settings});
        },
        problem);
  }
  LG_CHECK(problem.empty(), problem);
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

}  // namespace

void add_eval_perplexity(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<PerplexityCommand>();
  CLI::App* const app =
      commands.add_part(eval, "perplexity", "perplexity by position in a document");
  add_eval_options(app, *command);
  app->add_option("--text", command->texts, "documents: files or folders as for prepare")
      ->allow_extra_args(false)
      ->option_text("FILE");
  app->add_option("--text-field", command->text_field, "field of a JSON line (default text)")
      ->option_text("NAME");
  app->add_option("--data", command->data, "documents: a dataset that prepare wrote")
      ->option_text("DIR");
  add_choice_option(app, "--split", command->split, {kHeldOutSplit, kTrainSplit},
                    "which part of the dataset (default held_out)");
  add_count_option(app, "--length", command->length, 2,
                   "tokens of each document; shorter documents are left out")
      ->required();
  add_count_option(app, "--documents", command->documents, 1, "documents at most (default: all)");
  add_count_option(app, "--first-bucket", command->first_bucket, 1,
                   "tokens of the first bucket; each next one doubles the position (default 1K)");
  add_count_option(app, "--bucket", command->bucket, 1, "buckets of this many tokens instead");
  commands.on_run(app, [command] { return eval_perplexity(*command); });
}

}  // namespace longgen
