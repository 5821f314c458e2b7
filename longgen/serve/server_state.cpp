#include "longgen/serve/server_state.h"

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

const char* status_word(const EngineState& engine, bool is_draining) {
  if (engine.phase == EnginePhase::failed) return "failed";
  if (is_draining || engine.phase == EnginePhase::draining) return "draining";
  return engine.phase == EnginePhase::calibrating ? "starting" : "ok";
}

/// A metric with its kind, help and one value.
class Metrics {
 public:
  explicit Metrics(const std::string& model) : label_("{model_name=" + quoted(model) + "} ") {}

  template <typename Number>
  void add(const char* name, const char* kind, const char* help, Number value) {
    text_ += detail::concat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n", name,
                            label_, dump_json(OrderedJson(value)), "\n");
  }
  const std::string& text() const { return text_; }

 private:
  static std::string quoted(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c == '\n' ? ' ' : c;
    }
    return quoted + "\"";
  }

  std::string label_, text_;
};

}  // namespace

HealthAnswer health_answer(const EngineState& engine, bool is_draining) {
  const std::string word = status_word(engine, is_draining);
  OrderedJson json = {{"status", word}};
  if (word == "failed") json["message"] = engine.failure;
  return {word == "ok" ? 200 : 503, dump_json(json)};
}

std::string state_json(const std::string& model, const EngineState& engine,
                       const ServerCounts& counts) {
  return dump_json(
      OrderedJson{{"status", status_word(engine, counts.is_draining)},
                  {"model", model},
                  {"connections", counts.num_connections},
                  {"answers", counts.num_answers},
                  {"requests", {{"running", engine.num_running}, {"waiting", engine.num_waiting}}},
                  {"pages",
                   {{"capacity", engine.capacity},
                    {"reserved", engine.reserved},
                    {"cached", engine.cached},
                    {"in_use", engine.in_use},
                    {"bytes_of_one", engine.page_bytes}}},
                  {"tokens",
                   {{"prompt", engine.prompt_tokens},
                    {"generated", engine.generated_tokens},
                    {"looked_up", engine.queried_tokens},
                    {"found", engine.hit_tokens}}},
                  {"steps",
                   {{"number", engine.num_steps},
                    {"predicted_seconds", engine.predicted_seconds},
                    {"measured_seconds", engine.measured_seconds}}}});
}

std::string metrics_text(const std::string& model, const EngineState& engine) {
  constexpr const char* kGauge = "gauge";
  constexpr const char* kCounter = "counter";
  const double used = engine.capacity == 0 ? 0
                                           : static_cast<double>(engine.in_use) /
                                                 static_cast<double>(engine.capacity);
  Metrics metrics(model);
  metrics.add("vllm:num_requests_running", kGauge, "Requests that have begun.", engine.num_running);
  metrics.add("vllm:num_requests_waiting", kGauge, "Requests in the queue.", engine.num_waiting);
  metrics.add("vllm:kv_cache_usage_perc", kGauge, "Share of the pages that are in use, 0 to 1.",
              used);
  metrics.add("vllm:prefix_cache_queries_total", kCounter,
              "Tokens of prompts that were looked up in the prefix cache.", engine.queried_tokens);
  metrics.add("vllm:prefix_cache_hits_total", kCounter, "Those that were found there.",
              engine.hit_tokens);
  metrics.add("vllm:num_preemptions_total", kCounter, "Requests that lost their pages: none ever.",
              0);
  metrics.add("vllm:prompt_tokens_total", kCounter, "Tokens of prompts.", engine.prompt_tokens);
  metrics.add("vllm:generation_tokens_total", kCounter, "Tokens that were generated.",
              engine.generated_tokens);
  metrics.add("longgen:pages_capacity", kGauge, "Pages of the KV cache.", engine.capacity);
  metrics.add("longgen:pages_reserved", kGauge, "Pages promised to requests.", engine.reserved);
  metrics.add("longgen:pages_cached", kGauge, "Pages of the prefix cache.", engine.cached);
  metrics.add("longgen:steps_total", kCounter, "Steps of the engine.", engine.num_steps);
  metrics.add("longgen:predicted_step_seconds_total", kCounter, "Time of all steps, as predicted.",
              engine.predicted_seconds);
  metrics.add("longgen:measured_step_seconds_total", kCounter, "Time of all steps, as measured.",
              engine.measured_seconds);
  return metrics.text();
}

}  // namespace longgen
