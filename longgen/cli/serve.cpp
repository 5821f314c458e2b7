// longgen serve: answers OpenAI's API over HTTP.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "longgen/attention/pattern.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/serve/server.h"

namespace longgen {
namespace {

// A second io thread pays where there are many cores.
constexpr int64_t kCoresForTwoIoThreads = 9;
constexpr double kGpuBudgetMs = 100, kCpuBudgetMs = 250;
// A signal is seen after at most so long.
constexpr auto kLook = std::chrono::milliseconds(50);

struct ServeCommand {
  ServeOptions options;
  std::string key_file, access_log;
  std::optional<double> step_budget_ms;
  int64_t max_kv = 0, default_max_tokens = 0;
  bool no_prefix_cache = false, random_weights = false;
  RandomModelOptions random;
  double drain_seconds = 30;
};

bool is_loopback(const std::string& host) {
  return host.starts_with("127.") || host == "::1" || host == "localhost";
}

ServeOptions complete_options(const ServeCommand& command) {
  ServeOptions options = command.options;
  const int64_t chunk = options.engine.max_chunk;
  if (chunk % Pattern::kBlock != 0) {
    throw UsageError(detail::concat("--chunk: expected a multiple of ", Pattern::kBlock,
                                    " tokens, found ", chunk, "."));
  }
  if (command.random_weights) options.random_weights = command.random;
  if (!command.random_weights && (!command.random.layers.empty() || command.random.context > 0)) {
    throw UsageError("--layers and --context make a model, which needs --random-weights.");
  }
  if (!command.random.sparse.empty() && command.random.layers.empty()) {
    throw UsageError("--sparse says what layers outside --layers see: give --layers too.");
  }
  const double usual_ms = gpu_index(options.model.device) ? kGpuBudgetMs : kCpuBudgetMs;
  options.engine.schedule.step_budget_seconds = command.step_budget_ms.value_or(usual_ms) / 1000;
  options.engine.keeps_prefixes = !command.no_prefix_cache;
  if (command.default_max_tokens > 0) options.default_max_tokens = command.default_max_tokens;
  if (command.max_kv > 0) options.engine.engine.max_kv_bytes = command.max_kv;
  const bool keeps_nothing = command.no_prefix_cache && options.engine.overcommit == 1;
  if (options.engine.host_cache_bytes > 0 && keeps_nothing) {
    throw UsageError("--host-cache keeps prefixes, which --no-prefix-cache forbids.");
  }
  if (options.engine.overcommit > 1 && options.engine.host_cache_bytes == 0) {
    throw UsageError(
        "--overcommit sends requests to the host: say with --host-cache how much memory "
        "there is for them.");
  }
  options.http.io_threads = default_threads() >= kCoresForTwoIoThreads ? 2 : 1;
  if (!command.key_file.empty()) options.http.keys = http::ApiKeys::read(command.key_file);
  if (!command.access_log.empty()) {
    const auto file = std::make_shared<http::AccessLogFile>(command.access_log);
    options.http.access_log = [file](const http::AccessRecord& record) { file->write(record); };
  }
  return options;
}

void say_host_cache(const EngineState& engine, const ServeOptions& options) {
  log_info("the host keeps prefixes of " + format_bytes(engine.host_capacity * engine.page_bytes));
  if (gpu_index(options.model.device)) return;
  log_warning("--host-cache on a CPU is the same memory as the KV cache: more --max-kv does more.");
}

void say_ready(const Server& server, const ServeOptions& options) {
  const ServedModel& model = server.model();
  const EngineState engine = server.engine_state();
  log_info(detail::concat("model ", model.name, ", context of ", format_count(model.context),
                          " tokens | KV cache ",
                          format_bytes(engine.capacity * engine.page_bytes)));
  if (engine.host_capacity > 0) say_host_cache(engine, options);
  if (!model.chat_template) {
    log_info(model.reads_texts
                 ? "the model has no chat template: /v1/chat/completions is refused"
                 : "weights are random, and there is no tokenizer: prompts are lists of token ids");
  }
  if (options.http.keys.empty() && !is_loopback(options.http.host)) {
    log_warning("--host " + options.http.host +
                " lets other machines in, and there is no --api-key-file: whoever reaches the "
                "port may ask.");
  }
  Output output;
  output.write("listening on http://" + server.address() + "\n");
  output.flush();
}

/// Waits for a signal; says once where the engine fails. Returns whether it did.
bool wait_for_signal(const Server& server) {
  bool has_failed = false;
  while (!interrupted()) {
    std::this_thread::sleep_for(kLook);
    const EngineState engine = server.engine_state();
    if (has_failed || engine.phase != EnginePhase::failed) continue;
    has_failed = true;
    log_warning("the engine has failed, and requests are answered with 503: " + engine.failure);
  }
  return has_failed;
}

int serve(const ServeCommand& command) {
  const ServeOptions options = complete_options(command);
  Server server(options);
  catch_interrupts();
  say_ready(server, options);
  const bool has_failed = wait_for_signal(server);
  server.stop(command.drain_seconds);
  return has_failed ? 1 : 0;
}

void add_engine_options(CLI::App* app, ServeCommand& command) {
  SchedulerOptions& schedule = command.options.engine.schedule;
  add_count_option(app, "--max-sequences", schedule.max_sequences, 1,
                   "requests that are computed at the same time, at most (default 64)");
  add_count_option(app, "--max-queue", schedule.max_queued, 1,
                   "requests that wait, at most; beyond it the answer is 429 (default 256)");
  app->add_option("--max-queue-seconds", schedule.max_queued_seconds,
                  "predicted seconds that a request waits, at most; beyond it 429 (default 60)")
      ->option_text("S")
      ->check(number_between(0.001, 1e9));
  app->add_option("--step-budget", command.step_budget_ms,
                  "milliseconds that prompts may add to a step, and so to the gap between two "
                  "tokens (default 250, on a GPU 100)")
      ->option_text("MS")
      ->check(number_between(1, 1e6));
  add_count_option(app, "--default-max-tokens", command.default_max_tokens, 1,
                   "tokens of the reply to a chat without max_tokens, at most (default: as many as "
                   "there is room for)");
  add_prefill_chunk_option(app, command.options.engine.max_chunk);
  add_count_option(app, "--max-kv", command.max_kv, 1,
                   "bytes that the KV cache takes (default: a part of what is free)");
  add_count_option(app, "--host-cache", command.options.engine.host_cache_bytes, 0,
                   "bytes of the machine's memory for prefixes that the KV cache has no room for "
                   "any more (default 0)");
  app->add_option("--overcommit", command.options.engine.overcommit,
                  "reserve memory for one part in F of a reply, and send requests to --host-cache "
                  "where that was too little (default 1: nobody is ever sent)")
      ->option_text("F")
      ->check(number_between(1, 1000));
  app->add_flag("--no-prefix-cache", command.no_prefix_cache,
                "compute every prompt from its start");
}

void add_http_options(CLI::App* app, ServeCommand& command) {
  http::ServerOptions& http = command.options.http;
  app->add_option("--host", http.host, "address to listen on (default 127.0.0.1)")
      ->option_text("ADDRESS");
  app->add_option("--port", http.port, "port to listen on; 0 takes a free one (default 8000)")
      ->option_text("N")
      ->check(number_between(0, 65535));
  app->add_option("--api-key-file", command.key_file,
                  "file of keys, one of which a client must send: KEY or NAME KEY a line")
      ->option_text("FILE");
  app->add_option("--access-log", command.access_log,
                  "append a line of JSON for each request, without its text")
      ->option_text("FILE");
  app->add_option("--write-timeout", http.limits.write_seconds,
                  "seconds after which a client that reads nothing has gone (default 30)")
      ->option_text("S")
      ->check(number_between(0.1, 1e6));
  app->add_option("--drain-timeout", command.drain_seconds,
                  "seconds that answers may still take after SIGTERM or Ctrl-C (default 30)")
      ->option_text("S")
      ->check(number_between(0, 1e6));
}

void add_random_options(CLI::App* app, ServeCommand& command) {
  app->add_flag("--random-weights", command.random_weights,
                "to measure with: MODEL is a preset such as llama2-7b, or a directory with a "
                "config.json; prompts are token ids");
  app->add_option("--layers", command.random.layers,
                  "with --random-weights: the full layers of a hybrid, as in convert")
      ->option_text("PLAN");
  app->add_option("--sparse", command.random.sparse,
                  "with --layers: pattern of the other layers (default sink)")
      ->option_text("PATTERN");
  add_count_option(app, "--context", command.random.context, 1,
                   "with --random-weights: the longest prompt and reply (default: the model's)");
}

}  // namespace

void add_serve(CommandSet& commands) {
  auto command = std::make_shared<ServeCommand>();
  CLI::App* const app =
      commands.add(CommandGroup::inference, "serve", "answer OpenAI's API over HTTP");
  app->add_option("MODEL", command->options.directory, "model directory")->required();
  app->add_option("--served-model-name", command->options.name,
                  "the model's name for clients (default: the directory's)")
      ->option_text("NAME");
  add_http_options(app, *command);
  add_engine_options(app, *command);
  add_random_options(app, *command);
  add_model_options(app, command->options.model);
  commands.on_run(app, [command] { return serve(*command); });
}

}  // namespace longgen
