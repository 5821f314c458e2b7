// longgen bench serve: puts a load on a server that speaks OpenAI's API, and measures it.
#include <memory>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/files.h"
#include "longgen/base/log.h"
#include "longgen/base/progress.h"
#include "longgen/base/units.h"
#include "longgen/bench/load/load_plan.h"
#include "longgen/bench/load/load_report.h"
#include "longgen/bench/load/load_target.h"
#include "longgen/bench/load/scenario.h"
#include "longgen/cli/bench.h"
#include "longgen/cli/html_report.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/output.h"

namespace longgen {
namespace {

constexpr const char* kReportName = "load";
constexpr const char* kWords = "words";

struct LoadCommand {
  std::string url, model, lengths = "512:128", trace, scenario, text, ids, key_file, goal;
  std::string endpoint = "completions", csv, out, html;
  LoadPlanOptions plan{.num_requests = 64};
  double trace_speed = 1, timeout_seconds = 600;
  int64_t warm_up = 1, concurrency = 0;
  bool json = false, quiet = false;
  std::string command_line;

  bool writes_words() const { return !text.empty() || endpoint == "chat"; }
};

TokenRange read_ids(const std::string& text) {
  if (text.empty()) return kUsualIds;
  const size_t dash = text.find('-');
  LG_CHECK(dash != std::string::npos, "--ids: expected LOW-HIGH, found \"", text, "\".");
  const TokenRange range{parse_count(text.substr(0, dash), "--ids"),
                         parse_count(text.substr(dash + 1), "--ids")};
  LG_CHECK(range.low >= 0 && range.low <= range.high, "--ids: expected LOW-HIGH, found \"", text,
           "\".");
  return range;
}

HttpClient::Options client_options(const LoadCommand& command) {
  HttpClient::Options options{.timeout_seconds = command.timeout_seconds};
  if (command.key_file.empty()) return options;
  std::string key = read_file(command.key_file, 64 << 10);
  key = key.substr(0, key.find_first_of("\r\n"));
  LG_CHECK(!key.empty() && key.find_first_of(" \t") == std::string::npos, command.key_file,
           ": expected a key, and nothing else, on the first line.");
  options.headers.push_back({"Authorization", "Bearer " + key});
  return options;
}

std::optional<WordPrompts::Source> word_source(const LoadCommand& command) {
  if (!command.writes_words()) return std::nullopt;
  if (command.text.empty() || command.text == kWords) return frequent_words();
  return words_of_text(read_file(command.text), command.text);
}

TargetOptions target_options(const LoadCommand& command) {
  return {.url = command.url,
          .client = client_options(command),
          .endpoint = kEndpoints.parse(command.endpoint, "--endpoint"),
          .model = command.model,
          .words = word_source(command),
          .ids = read_ids(command.ids)};
}

std::vector<PlannedRequest> plan_of(const LoadCommand& command) {
  if (command.trace.empty()) return plan_load(LengthMix::parse(command.lengths), command.plan);
  return read_trace(command.trace, {.speed = command.trace_speed,
                                    .max_requests = command.plan.num_requests,
                                    .seed = command.plan.seed});
}

/// The load in words.
std::string load_text(const LoadCommand& command, int64_t num_requests) {
  std::string text = format_count(num_requests, "request");
  if (!command.trace.empty()) {
    text += " of the trace " + command.trace;
    if (command.trace_speed != 1)
      text += detail::concat(", ", command.trace_speed, " times as fast");
  } else {
    text += " of " + command.lengths + " tokens";
    if (command.plan.shared_prefix_tokens > 0) {
      text += detail::concat(" behind ", format_count(command.plan.shared_prefix_tokens),
                             " shared ones in ", format_count(command.plan.num_groups, "group"));
    }
    text += command.plan.rate
                ? detail::concat(", ", *command.plan.rate, " a second on average (Poisson)")
            : command.concurrency > 0 ? std::string()
                                      : ", all at once";
  }
  if (command.concurrency > 0)
    text += detail::concat(", at most ", command.concurrency, " at once");
  return text + detail::concat(", ", command.endpoint, ", seed ", command.plan.seed);
}

/// Requests like those of the load, with prompts of their own; what comes of them does not count.
void warm_up(const LoadCommand& command, LoadTarget& target) {
  if (command.warm_up == 0) return;
  LoadCommand other = command;
  other.plan.seed = ~command.plan.seed;
  other.plan.rate.reset();
  other.plan.num_requests = command.warm_up;
  std::vector<PlannedRequest> requests = plan_of(other);
  for (PlannedRequest& request : requests) request.due_seconds = 0;
  target.prompts().fit(requests);
  log_info("warming up: " + format_count(std::ssize(requests), "request"));
  run_load(target.client(), target.form(), target.prompts(), requests,
           {.stops = [] { return interrupted().load(); }});
}

LoadReport measure(const LoadCommand& command, LoadTarget& target,
                   const std::vector<PlannedRequest>& requests) {
  std::optional<Progress> progress;
  if (!command.quiet) progress.emplace("load", std::ssize(requests), "requests");
  LoadRunOptions options{.stops = [] { return interrupted().load(); }};
  if (command.concurrency > 0) options.concurrency = command.concurrency;
  options.on_progress = [&](int64_t num_ended) {
    if (progress) progress->update(num_ended);
  };
  const auto before = ask_metrics(target.client());
  LoadResult result = run_load(target.client(), target.form(), target.prompts(), requests, options);
  if (progress) progress->finish();
  LoadReport report{.url = command.url,
                    .server = target.info(),
                    .form = target.form(),
                    .refused = target.refused(),
                    .load = load_text(command, std::ssize(requests))};
  if (!command.goal.empty()) report.goal = command.goal;
  report.summary =
      summarize(result, report.goal ? std::optional(Goal::parse(*report.goal)) : std::nullopt);
  report.records = std::move(result.records);
  try {
    report.counters = counters_between(before, ask_metrics(target.client()));
  } catch (const Error& error) {
    log_warning(detail::concat("the server's own counters are missing: ", error.what()));
  }
  return report;
}

void write_reports(const LoadCommand& command, const LoadReport& report) {
  if (!command.csv.empty()) write_file(command.csv, to_csv(to_table(report)));
  if (!command.out.empty()) {
    const ReportFiles files =
        write_load_report(report, {.folder = command.out, .name = kReportName, .settings = {}});
    for (const fs::path& file : files.files) log_info("written: " + file.string());
  }
  if (!command.html.empty()) {
    write_html_report(load_page(report), command.command_line, command.html);
  }
}

void print(const std::string& text) {
  Output output;
  output.write(text);
  output.flush();
}

int run_scenario(const LoadCommand& command, const ScenarioOptions& options) {
  LoadTarget target(target_options(command));
  target.check_context(options.longest_requests());
  const auto before = ask_metrics(target.client());
  RequestRunner runner(target.client(), target.form(), target.prompts());
  ScenarioResult result = run_scenario(target.client(), runner, options);
  const ServerCounters counters = counters_between(before, ask_metrics(target.client()));
  result.step_budget_seconds = counters.step_budget_seconds;
  result.predicted_over_measured = counters.predicted_over_measured;
  result.share_predicted_well = counters.share_predicted_well;
  OrderedJson json = {{"report", "scenario"},
                      {"url", command.url},
                      {"server", target.info().name()},
                      {"model", target.info().model}};
  json.update(to_json(result));
  print(command.json ? dump_json(json) + "\n"
                     : command.url + ": model " + target.info().model + " of " +
                           target.info().name() + "\n" + to_text(result));
  return 0;
}

void check(const LoadCommand& command) {
  const auto refuse_if = [](bool is_wrong, const char* why) {
    if (is_wrong) throw UsageError(why);
  };
  const bool has_scenario = !command.scenario.empty(), has_trace = !command.trace.empty();
  refuse_if(has_trace && command.plan.rate, "--trace says when requests come: leave --rate out.");
  refuse_if(has_trace && command.plan.shared_prefix_tokens > 0,
            "--trace says what prompts share: leave --shared-prefix out.");
  refuse_if(!has_trace && command.trace_speed != 1, "--trace-speed needs --trace.");
  refuse_if(command.plan.num_groups > 1 && command.plan.shared_prefix_tokens == 0,
            "--groups needs --shared-prefix.");
  refuse_if(command.writes_words() && !command.ids.empty(),
            "--ids is of prompts that are token ids, and these are texts.");
  refuse_if(has_scenario && (has_trace || command.plan.rate || command.concurrency > 0),
            "--scenario says what comes when: leave --trace, --rate and --concurrency out.");
  refuse_if(has_scenario && (!command.csv.empty() || !command.out.empty() ||
                             !command.html.empty() || !command.goal.empty()),
            "--scenario prints its figures: leave --csv, --out, --html and --goal out.");
  refuse_if(has_scenario && command.writes_words(),
            "--scenario has prompts of token ids: leave --text and --endpoint chat out.");
}

int bench(const LoadCommand& command) {
  check(command);
  // What is wrong is said before the server is asked anything.
  if (!command.goal.empty()) Goal::parse(command.goal);
  if (!command.out.empty()) try_report_folder(command.out);
  try_html_file(command.html);
  if (!command.scenario.empty()) {
    ScenarioOptions options = ScenarioOptions::parse(command.scenario);
    options.seed = command.plan.seed;
    options.stops = [] { return interrupted().load(); };
    catch_interrupts();
    return run_scenario(command, options);
  }
  const std::vector<PlannedRequest> requests = plan_of(command);
  catch_interrupts();
  LoadTarget target(target_options(command));
  target.check_context(requests);
  target.prompts().fit(requests);
  warm_up(command, target);
  const LoadReport report = measure(command, target, requests);
  print(command.json ? dump_json(to_json(report)) + "\n" : to_text(report));
  write_reports(command, report);
  if (interrupted()) return 128 + interrupt_signal();
  return report.summary.num_whole == report.summary.num_sent ? 0 : 1;
}

void add_load_options(CLI::App* app, LoadCommand& command) {
  add_count_option(app, "--requests", command.plan.num_requests, 1,
                   "requests (default 64, of a trace all)");
  app->add_option("--rate", command.plan.rate,
                  "requests a second on average, with random times between them (default: all at "
                  "once)")
      ->option_text("R")
      ->check(number_between(1e-6, 1e6));
  add_count_option(app, "--concurrency", command.concurrency, 1,
                   "requests under way at once, at most (default: no limit)");
  app->add_option("--lengths", command.lengths,
                  "tokens of prompts and replies, with weights: 2K:128@3,64K-128K:64 (default "
                  "512:128)")
      ->option_text("PROMPT:REPLY,...");
  add_count_option(app, "--shared-prefix", command.plan.shared_prefix_tokens, 1,
                   "tokens before each prompt that its group shares (default none)");
  add_count_option(app, "--groups", command.plan.num_groups, 1,
                   "groups of requests, which take turns (default 1)");
  app->add_option("--trace", command.trace,
                  "requests of a trace in Mooncake's format, instead of --lengths")
      ->option_text("FILE");
  app->add_option("--trace-speed", command.trace_speed, "how much faster than it was (default 1)")
      ->option_text("X")
      ->check(number_between(1e-6, 1e6));
  app->add_option("--scenario", command.scenario,
                  "replies and a long prompt that comes, instead of a load: decoders:8,prompt:6K")
      ->option_text("WHAT");
  add_count_option(app, "--warm-up", command.warm_up, 0,
                   "requests before, which do not count (default 1)");
  add_seed_option(app, command.plan.seed, "of arrivals, lengths and prompts");
}

void add_request_options(CLI::App* app, LoadCommand& command) {
  add_choice_option(app, "--endpoint", command.endpoint, kEndpoints.names(),
                    "which route (default completions)");
  app->add_option("--model", command.model, "the model's name (default: the first of the server's)")
      ->option_text("NAME");
  app->add_option("--text", command.text,
                  "prompts of a file's words, or of frequent ones (default: token ids, for chats "
                  "words)")
      ->option_text("FILE|words");
  app->add_option("--ids", command.ids, "token ids that prompts are made of (default 1000-30000)")
      ->option_text("LOW-HIGH");
  app->add_option("--api-key-file", command.key_file, "file with the key on its first line")
      ->option_text("FILE");
  app->add_option("--timeout", command.timeout_seconds,
                  "seconds of silence after which a request has failed (default 600)")
      ->option_text("S")
      ->check(number_between(0.001, 1e6));
}

}  // namespace

void add_bench_serve(CommandSet& commands, CLI::App* bench_app) {
  auto command = std::make_shared<LoadCommand>();
  CLI::App* const app = commands.add_part(
      bench_app, "serve", "a load for a server that speaks OpenAI's API, and how it bears it");
  app->add_option("URL", command->url, "the server: http://HOST:PORT")->required();
  add_load_options(app, *command);
  add_request_options(app, *command);
  app->add_option("--goal", command->goal,
                  "count replies that keep to these times: ttft=500ms,tpot=50ms,e2e=10s")
      ->option_text("GOAL");
  app->add_option("--csv", command->csv, "a row for each request (default: none)")
      ->option_text("FILE");
  app->add_option("--out", command->out, "folder for JSON, CSV and a picture (default: none)")
      ->option_text("DIR");
  add_html_option(app, command->html);
  add_json_flag(app, command->json);
  add_quiet_flag(app, command->quiet);
  commands.on_run(app, [command, app, &commands] {
    command->command_line = commands.command_line();
    if (!command->trace.empty() && app->count("--requests") == 0) command->plan.num_requests = 0;
    return bench(*command);
  });
}

}  // namespace longgen
