// longgen bench model: prefill and decode speed and peak memory. Each measurement is a process of
// its own, so that peak memory is that of one variant, and rounds alternate between the variants,
// so that a change of the machine's speed meets them all.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/load.h"
#include "longgen/cli/output.h"
#include "longgen/generate/session.h"
#include "longgen/model/model_directory.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

struct BenchCommand {
  std::string model;
  ModelOptions model_options;
  std::vector<std::string> compare = {"model"};
  int64_t tokens = 2048, decode_tokens = 32, rounds = 3, chunk = kDefaultPrefillChunk;
  std::string only;  // in the process of one measurement: its variant
  bool json = false;
};

/// "model": as it is. "full": every layer full. "hybrid": as it is if it is one, else the middle
/// third full and the others sink.
LayerPlan variant_layers(const std::string& variant, const ModelConfig& config) {
  if (variant == "full") return LayerPlan::all_full(config.num_layers);
  if (variant == "hybrid" && !config.is_hybrid()) {
    return {.full_layers = parse_full_layers("middle:1/3", config.num_layers)};
  }
  return config.layers;
}

/// Ids spread over the vocabulary, the same every time.
std::vector<int32_t> some_ids(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids(count);
  uint64_t state = 1;
  for (int32_t& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
  }
  return ids;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

OrderedJson measure(const BenchCommand& command) {
  const Decoder loaded = load_decoder(command.model, command.model_options);
  ModelConfig config = loaded.config();
  config.layers = variant_layers(command.only, config);
  const Decoder decoder(config, loaded.weights());
  Session session(decoder, command.chunk);
  const std::vector<int32_t> ids = some_ids(command.tokens, config.vocab_size);
  // Warms up, decoding too: on a GPU its first step records a graph.
  session.append(std::span(ids).first(std::min<size_t>(ids.size(), 64)));
  session.append(std::span(ids).first(1));
  session.clear();
  const double prefill = seconds_of([&] { session.append(ids); });
  const int64_t kv_bytes = session.kv_bytes();
  const double decode = seconds_of([&] {
    for (int64_t i = 0; i < command.decode_tokens; ++i) {
      session.append(std::span(ids).subspan(i % command.tokens, 1));
    }
  });
  return {{"variant", command.only},
          {"tokens", command.tokens},
          {"prefill_tokens_per_s", static_cast<double>(command.tokens) / prefill},
          {"decode_tokens_per_s", static_cast<double>(command.decode_tokens) / decode},
          {"kv_bytes", kv_bytes},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

std::vector<std::string> one_measurement(const BenchCommand& command, const std::string& variant) {
  return {this_program(),    "bench",
          "model",           command.model,
          "--measure",       variant,
          "--tokens",        std::to_string(command.tokens),
          "--decode-tokens", std::to_string(command.decode_tokens),
          "--chunk",         std::to_string(command.chunk),
          "--device",        command.model_options.device,
          "--dtype",         command.model_options.compute_dtype(),
          "--threads",       std::to_string(command.model_options.threads)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

OrderedJson summary_of(const std::vector<Json>& rounds) {
  OrderedJson summary;
  for (const auto& [key, value] : rounds.front().items()) {
    if (!value.is_number()) {
      summary[key] = value;
      continue;
    }
    std::vector<double> values;
    for (const Json& round : rounds) values.push_back(round[key].get<double>());
    summary[key] = value.is_number_integer() ? OrderedJson(static_cast<int64_t>(median(values)))
                                             : OrderedJson(median(values));
    if (!key.ends_with("per_s")) continue;
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    summary[key + "_range"] = {*low, *high};
  }
  return summary;
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", value < 100 ? 1 : 0, value);
  return text;
}

std::string to_text(const BenchCommand& command, const OrderedJson& variants) {
  std::vector<std::vector<std::string>> rows = {
      {"variant", "prefill tokens/s", "decode tokens/s", "KV cache", "peak memory"}};
  for (const OrderedJson& variant : variants) {
    rows.push_back({variant["variant"], rounded(variant["prefill_tokens_per_s"]),
                    rounded(variant["decode_tokens_per_s"]), format_bytes(variant["kv_bytes"]),
                    format_bytes(variant["peak_memory_bytes"])});
  }
  return detail::concat(command.model, ", ", format_count(command.tokens), " tokens, ",
                        command.model_options.compute_dtype(), ", ", command.model_options.device,
                        ", median of ", command.rounds, "\n", format_table(rows));
}

int bench_model(const BenchCommand& command) {
  Output output;
  if (!command.only.empty()) {
    output.write(dump_json(measure(command)) + "\n");
    output.flush();
    return 0;
  }
  const std::set<std::string> known = {"model", "full", "hybrid"};
  for (const std::string& variant : command.compare) {
    LG_CHECK(known.contains(variant), "--compare: expected model, full or hybrid, found \"",
             variant, "\".");
  }
  load_model_config(command.model);  // its errors come once, and at once
  std::map<std::string, std::vector<Json>> rounds;
  for (int64_t round = 0; round < command.rounds; ++round) {
    for (const std::string& variant : command.compare) {
      log_info(detail::concat("round ", round + 1, " of ", command.rounds, ", ", variant));
      rounds[variant].push_back(
          parse_json(run_program(one_measurement(command, variant)), "measurement"));
    }
  }
  OrderedJson variants = OrderedJson::array();
  for (const std::string& variant : command.compare)
    variants.push_back(summary_of(rounds[variant]));
  if (command.json) {
    output.write(dump_json(OrderedJson{{"model", command.model},
                                       {"dtype", command.model_options.compute_dtype()},
                                       {"device", command.model_options.device},
                                       {"rounds", command.rounds},
                                       {"variants", variants}}) +
                 "\n");
  } else {
    output.write(to_text(command, variants));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_bench(CommandSet& commands) {
  auto command = std::make_shared<BenchCommand>();
  CLI::App* const bench =
      commands.add(CommandGroup::evaluation, "bench", "measure speed and memory");
  CLI::App* const app =
      bench->add_subcommand("model", "prefill and decode speed of a model, and its peak memory");
  bench->require_subcommand(1);
  app->add_option("MODEL", command->model, "model directory")->required();
  add_count_option(app, "--tokens", command->tokens, 1, "tokens of the prompt (default 2048)");
  add_count_option(app, "--decode-tokens", command->decode_tokens, 1,
                   "tokens decoded after it (default 32)");
  app->add_option("--compare", command->compare,
                  "variants of the model, separated by commas: model (as it is), full, hybrid "
                  "(default model)")
      ->option_text("LIST")
      ->allow_extra_args(false)
      ->delimiter(',');
  add_count_option(app, "--rounds", command->rounds, 1,
                   "measurements of each variant, of which the median counts (default 3)");
  add_count_option(
      app, "--chunk", command->chunk, 0,
      "tokens of the prompt that pass the layers at once (default 512, on a GPU 8192)");
  app->add_option("--measure", command->only)->group("");
  add_model_options(app, command->model_options);
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return bench_model(*command); });
}

}  // namespace longgen
