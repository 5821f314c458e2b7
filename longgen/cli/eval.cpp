// longgen eval: perplexity by position, and needles in a haystack.
#include <charconv>
#include <cmath>
#include <memory>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/load.h"
#include "longgen/cli/output.h"
#include "longgen/cli/stop_tokens.h"
#include "longgen/data/documents.h"
#include "longgen/data/token_dataset.h"
#include "longgen/eval/needle_run.h"
#include "longgen/eval/perplexity.h"
#include "longgen/plan/table.h"
#include "longgen/tokenizer/chat_format.h"

namespace longgen {
namespace {

struct EvalCommand {
  std::vector<std::string> models;
  ModelOptions model_options;
  int64_t chunk = kDefaultPrefillChunk;
  std::string out;  // folder of the report; none: no files
  bool json = false, quiet = false;
};

std::string rounded(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string model_name(const std::string& directory) {
  const fs::path path = fs::weakly_canonical(directory);
  const std::string name = path.filename().string();
  // A run's model directory is called "model"; the run's own name says more.
  return name == "model" ? path.parent_path().filename().string() : name;
}

void say_files(const ReportFiles& files) {
  if (!files.files.empty()) log_info("written: " + files.files.front().parent_path().string());
}

struct PerplexityCommand : EvalCommand {
  std::vector<std::string> texts;
  std::string data, split = "held_out", text_field = "text";
  int64_t length = 0, documents = 0, bucket = 0, first_bucket = 1024;
};

/// Token ids of the documents that are long enough, by this model's tokenizer.
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
    log_info(detail::concat("left out: ", num_short, " documents of fewer than ",
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
  return detail::concat("perplexity of ", first.num_documents(),
                        first.num_documents() == 1 ? " document" : " documents", ", ",
                        format_count(first.overall().num_tokens), " tokens\n", format_table(rows));
}

OrderedJson bucket_json(const BucketSummary& summary) {
  OrderedJson json = {{"begin", summary.begin},       {"end", summary.end},
                      {"tokens", summary.num_tokens}, {"documents", summary.num_documents},
                      {"nll", summary.mean_nll},      {"perplexity", summary.perplexity}};
  if (summary.perplexity_interval) {
    json["perplexity_95"] = {summary.perplexity_interval->low, summary.perplexity_interval->high};
  }
  return json;
}

OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models) {
  OrderedJson list = OrderedJson::array();
  for (const ModelPerplexity& model : models) {
    OrderedJson buckets = OrderedJson::array();
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      buckets.push_back(bucket_json(model.buckets.bucket(i)));
    }
    list.push_back({{"model", model.name},
                    {"overall", bucket_json(model.buckets.overall())},
                    {"buckets", buckets}});
  }
  return {{"models", list}};
}

int eval_perplexity(const PerplexityCommand& command) {
  LG_CHECK(command.texts.empty() != command.data.empty(),
           "give the documents by either --text FILE or --data DATASET.");
  const std::vector<int64_t> edges = command.bucket > 0
                                         ? uniform_edges(command.bucket, command.length)
                                         : doubling_edges(command.first_bucket, command.length);
  catch_interrupts();
  std::vector<ModelPerplexity> models;
  for (const std::string& directory : command.models) {
    const LoadedModel model = load_with_tokenizer(directory, command.model_options);
    const auto documents = read_documents(command, model.tokenizer);
    std::optional<Progress> progress;
    const auto total = static_cast<int64_t>(documents.size()) * command.length;
    if (!command.quiet) progress.emplace(model_name(directory), total, "tokens");
    PerplexityOptions options{.edges = edges, .chunk = command.chunk};
    options.on_progress = [&](int64_t done) {
      if (progress) progress->update(done);
      return !interrupted();
    };
    models.push_back(
        {model_name(directory), measure_perplexity(model.decoder, documents, options)});
    if (progress) progress->finish();
    if (interrupted()) break;
  }
  LG_CHECK(models.front().buckets.num_documents() > 0,
           "stopped before the first document was done.");
  if (!command.out.empty()) {
    const OrderedJson settings = {{"length", command.length},
                                  {"data", command.data},
                                  {"texts", command.texts},
                                  {"dtype", command.model_options.dtype}};
    say_files(write_perplexity_report(
        models, {.folder = command.out, .name = "perplexity", .settings = settings}));
  }
  Output output;
  output.write(command.json ? dump_json(perplexity_json(models)) + "\n" : perplexity_text(models));
  output.flush();
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

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
  std::string text;
  for_each_document({file}, "text", [&](std::string_view document) {
    text += document;
    text += "\n<|endoftext|>\n";
    return true;
  });
  return Haystack::from_text(text, file);
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

OrderedJson needle_json(const NeedleGrid& grid, const NeedleResult& result) {
  OrderedJson cells = OrderedJson::array(), replies = OrderedJson::array();
  for (const NeedleCell& cell : grid.cells) {
    const Interval interval = wilson_interval(cell.num_found, cell.num_samples);
    cells.push_back({{"length", cell.length_tokens},
                     {"depth_percent", cell.depth_percent},
                     {"found", cell.num_found},
                     {"samples", cell.num_samples},
                     {"share_95", {interval.low, interval.high}}});
  }
  for (const NeedleReply& reply : result.replies) {
    replies.push_back({{"length", reply.length_tokens},
                       {"depth_percent", reply.depth_percent},
                       {"index", reply.index},
                       {"answer", reply.answer},
                       {"reply", reply.reply},
                       {"found", reply.found}});
  }
  return {{"model", grid.model}, {"cells", cells}, {"replies", replies}};
}

int eval_needle(const NeedleCommand& command) {
  NeedleRunOptions options;
  for (const std::string& length : command.lengths) {
    options.lengths_tokens.push_back(parse_count(length, "--lengths"));
  }
  options.depths_percent = command.depths;
  options.num_samples = command.samples;
  options.chunk = command.chunk;
  const Haystack haystack = make_haystack(command.haystack);
  catch_interrupts();
  Output output;
  OrderedJson all = OrderedJson::array();
  for (const std::string& directory : command.models) {
    const LoadedModel model = load_with_tokenizer(directory, command.model_options);
    NeedleOptions task_options{.new_tokens = command.new_tokens, .seed = command.seed};
    std::optional<ChatFormat> format;
    if (command.chat) {
      format = load_chat_format(directory);
      task_options.wrap = [&](const std::string& prompt) {
        return format->render({{"user", prompt}}, true);
      };
    }
    options.stop_tokens = find_stop_tokens(
        model.tokenizer, directory, format ? format->stop_tokens() : std::vector<std::string>());
    const NeedleTask task(model.tokenizer, haystack, task_options);
    std::optional<Progress> progress;
    if (!command.quiet) {
      const auto cells = options.lengths_tokens.size() * options.depths_percent.size();
      progress.emplace(model_name(directory), static_cast<int64_t>(cells) * command.samples,
                       "samples");
    }
    options.on_progress = [&](int64_t done, const std::string& note) {
      if (progress) progress->update(done, note);
      return !interrupted();
    };
    const NeedleResult result = run_needle(model.decoder, model.tokenizer, task, options);
    if (progress) progress->finish();
    if (result.cells.empty()) break;
    const NeedleGrid grid = {model_name(directory), haystack.kind(), result.cells};
    if (!command.out.empty()) {
      const OrderedJson settings = {{"seed", command.seed},
                                    {"new_tokens", command.new_tokens},
                                    {"chat", command.chat},
                                    {"haystack", haystack.source()},
                                    {"replies", needle_json(grid, result)["replies"]}};
      say_files(write_needle_report(
          grid, {.folder = command.out, .name = "needle-" + grid.model, .settings = settings}));
    }
    all.push_back(needle_json(grid, result));
    if (!command.json) output.write(needle_text(grid, command));
    if (interrupted()) break;
  }
  if (command.json) output.write(dump_json(OrderedJson{{"models", all}}) + "\n");
  output.flush();
  return interrupt_signal() == 0 ? 0 : 128 + interrupt_signal();
}

void add_common(CLI::App* app, EvalCommand& command) {
  app->add_option("MODEL", command.models, "model directories; all read the same documents")
      ->option_text("MODEL...")
      ->required();
  app->add_option("--out", command.out, "folder for JSON, CSV and pictures (default: none)")
      ->option_text("DIR");
  add_count_option(app, "--chunk", command.chunk, 1,
                   "tokens that pass the layers at once (default 512)");
  add_model_options(app, command.model_options);
  add_json_flag(app, command.json);
  add_quiet_flag(app, command.quiet);
}

void add_perplexity(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<PerplexityCommand>();
  CLI::App* const app = eval->add_subcommand("perplexity", "perplexity by position in a document");
  add_common(app, *command);
  app->add_option("--text", command->texts, "documents: files or folders as for prepare")
      ->option_text("FILE");
  app->add_option("--text-field", command->text_field, "field of a JSON line (default text)")
      ->option_text("NAME");
  app->add_option("--data", command->data, "documents: a dataset that prepare wrote")
      ->option_text("DIR");
  app->add_option("--split", command->split, "of the dataset: held_out or train (default held_out)")
      ->option_text("NAME");
  add_count_option(app, "--length", command->length, 2,
                   "tokens of each document; shorter documents are left out")
      ->required();
  add_count_option(app, "--documents", command->documents, 1, "documents at most (default: all)");
  add_count_option(app, "--first-bucket", command->first_bucket, 1,
                   "tokens of the first bucket; each next one doubles the position (default 1K)");
  add_count_option(app, "--bucket", command->bucket, 1, "buckets of this many tokens instead");
  commands.on_run(app, [command] { return eval_perplexity(*command); });
}

void add_needle(CommandSet& commands, CLI::App* eval) {
  auto command = std::make_shared<NeedleCommand>();
  CLI::App* const app = eval->add_subcommand(
      "needle", "RULER's single needle: find a number in a long text, by depth and length");
  add_common(app, *command);
  app->add_option("--lengths", command->lengths, "tokens, commas between (default 4K,8K,16K)")
      ->option_text("LIST")
      ->delimiter(',');
  app->add_option("--depths", command->depths, "percent, commas between (default 0,25,50,75,100)")
      ->option_text("LIST")
      ->delimiter(',');
  add_count_option(app, "--samples", command->samples, 1, "samples of each cell (default 1)");
  app->add_option("--haystack", command->haystack,
                  "text whose sentences hide the needle (default: RULER's noise)")
      ->option_text("FILE");
  add_count_option(app, "--new-tokens", command->new_tokens, 1,
                   "tokens of a reply at most (default 32; RULER has 128)");
  app->add_option("--seed", command->seed, "of the samples (default 42)")->option_text("N");
  app->add_flag("--chat", command->chat, "ask in the model's chat format");
  commands.on_run(app, [command] { return eval_needle(*command); });
}

}  // namespace

void add_eval(CommandSet& commands) {
  CLI::App* const eval =
      commands.add(CommandGroup::evaluation, "eval", "measure quality: perplexity, needle");
  eval->require_subcommand(1);
  add_perplexity(commands, eval);
  add_needle(commands, eval);
}

}  // namespace longgen
