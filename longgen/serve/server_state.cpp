#include "longgen/serve/server_state.h"

#include "longgen/base/json.h"
#include "longgen/serve/metrics/metrics_text.h"

namespace longgen {
namespace {

const char* status_word(const EngineState& engine, bool is_draining) {
  if (engine.phase == EnginePhase::failed) return "failed";
  if (is_draining || engine.phase == EnginePhase::draining) return "draining";
  return engine.phase == EnginePhase::calibrating ? "starting" : "ok";
}

OrderedJson kinds_json(const PageKinds& kinds) {
  return {{"full", kinds.full},
          {"sink", kinds.sink},
          {"stride", kinds.stride},
          {"window", kinds.window}};
}

const char* phase_word(const RunningRequest& request) {
  if (request.is_paused) return "paused";
  return request.generated_tokens == 0 ? "prefill" : "decode";
}

OrderedJson running_json(const EngineState& engine) {
  OrderedJson list = OrderedJson::array();
  for (const RunningRequest& request : engine.running) {
    list.push_back({{"id", request.id},
                    {"phase", phase_word(request)},
                    {"prompt_tokens", request.prompt_tokens},
                    {"cached_tokens", request.hit_tokens},
                    {"tokens_in_cache", request.num_tokens},
                    {"generated_tokens", request.generated_tokens},
                    {"max_new_tokens", request.max_new_tokens},
                    {"reserved_pages", request.reserved_pages},
                    {"prefill_seconds_left", request.remaining_seconds},
                    {"on_host", request.is_swapped}});
  }
  return list;
}

OrderedJson waiting_json(const EngineState& engine) {
  OrderedJson list = OrderedJson::array();
  for (const RequestQueue::Outlook& request : engine.waiting) {
    list.push_back({{"id", request.request},
                    {"prompt_tokens", request.prompt_tokens},
                    {"cached_tokens", request.known_tokens},
                    {"prefill_seconds_left", request.seconds}});
  }
  return list;
}

OrderedJson pattern_json(const Pattern& pattern) {
  if (pattern.is_full()) return {{"kind", "full"}};
  if (pattern.is_window()) return {{"kind", "window"}, {"window_tokens", pattern.window_tokens()}};
  return {{"kind", "sparse"},
          {"sink_blocks", pattern.sink_blocks()},
          {"window_blocks", pattern.window_blocks()},
          {"stride_blocks", pattern.stride_blocks()}};
}

/// The classes of the model's layers: how many layers, and what they see.
OrderedJson layers_json(const LayerPlan& plan) {
  OrderedJson classes = OrderedJson::array();
  for (int64_t c = 0; c < plan.num_classes(); ++c) {
    if (plan.count(c) == 0) continue;
    OrderedJson one = {{"layers", plan.count(c)}};
    one.update(pattern_json(plan.pattern_of_class(c)));
    classes.push_back(std::move(one));
  }
  return classes;
}

OrderedJson pages_json(const EngineState& engine) {
  return {{"capacity", engine.capacity},
          {"reserved", engine.reserved},
          {"cached", engine.cached},
          {"in_use", engine.in_use},
          {"bytes_of_one", engine.page_bytes},
          {"own_by_kind", kinds_json(engine.own_kinds)},
          {"cached_by_kind", kinds_json(engine.cached_kinds)},
          {"read_by_kind", kinds_json(engine.read_kinds)},
          {"read_bytes_if_full", engine.full_bytes}};
}

}  // namespace

HealthAnswer health_answer(const EngineState& engine, bool is_draining) {
  const std::string word = status_word(engine, is_draining);
  OrderedJson json = {{"status", word}};
  if (word == "failed") json["message"] = engine.failure;
  return {word == "ok" ? 200 : 503, dump_json(json)};
}

std::string state_json(const ServedModel& model, const EngineState& engine,
                       const ServerCounts& counts) {
  return dump_json(OrderedJson{{"status", status_word(engine, counts.is_draining)},
                               {"model", model.name},
                               {"context", model.context},
                               {"has_chat_template", model.chat_template.has_value()},
                               {"layers", layers_json(model.layers)},
                               {"block_tokens", Pattern::kBlock},
                               {"connections", counts.num_connections},
                               {"answers", counts.num_answers},
                               {"requests",
                                {{"running", engine.num_running},
                                 {"on_host", engine.num_swapped},
                                 {"preemptions", engine.num_preemptions},
                                 {"waiting", engine.num_waiting},
                                 {"each", running_json(engine)},
                                 {"next", waiting_json(engine)}}},
                               {"pages", pages_json(engine)},
                               {"host_pages",
                                {{"capacity", engine.host_capacity},
                                 {"in_use", engine.host_kinds.total()},
                                 {"by_kind", kinds_json(engine.host_kinds)},
                                 {"copied_to_host", engine.pages_to_host},
                                 {"copied_back", engine.pages_to_device}}},
                               {"tokens",
                                {{"prompt", engine.prompt_tokens},
                                 {"generated", engine.generated_tokens},
                                 {"looked_up", engine.queried_tokens},
                                 {"found", engine.hit_tokens},
                                 {"found_on_host", engine.host_hit_tokens}}},
                               {"steps",
                                {{"number", engine.num_steps},
                                 {"predicted_seconds", engine.predicted_seconds},
                                 {"measured_seconds", engine.measured_seconds}}}});
}

std::string metrics_text(const std::string& model, const EngineState& engine,
                         const RequestMetrics& requests) {
  const auto number = [](int64_t count) { return static_cast<double>(count); };
  const double used = engine.capacity == 0 ? 0 : number(engine.in_use) / number(engine.capacity);
  MetricsText text(model);
  text.gauge("vllm:num_requests_running", "Requests that have begun.", number(engine.num_running));
  text.gauge("vllm:num_requests_waiting", "Requests in the queue.", number(engine.num_waiting));
  text.gauge("vllm:num_requests_swapped", "Requests whose pages are on the host.",
             number(engine.num_swapped));
  text.gauge("vllm:kv_cache_usage_perc", "Share of the pages that are in use, 0 to 1.", used);
  text.counter("vllm:prefix_cache_queries_total", "Tokens looked up in the prefix cache.",
               number(engine.queried_tokens));
  text.counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.",
               number(engine.hit_tokens));
  text.counter("vllm:external_prefix_cache_hits_total", "Tokens found that the host kept.",
               number(engine.host_hit_tokens));
  text.counter("vllm:num_preemptions_total",
               "How often the pages of a request went to the host: never without --overcommit.",
               number(engine.num_preemptions));
  text.counter("vllm:prompt_tokens_total", "Tokens of prompts.", number(engine.prompt_tokens));
  text.counter("vllm:generation_tokens_total", "Tokens that were generated.",
               number(engine.generated_tokens));
  text.gauge("longgen:pages_capacity", "Pages of the KV cache.", number(engine.capacity));
  text.gauge("longgen:pages_reserved", "Pages promised to requests.", number(engine.reserved));
  text.gauge("longgen:pages_cached", "Pages of the prefix cache.", number(engine.cached));
  text.gauge("longgen:step_budget_seconds", "What prompts may add to a step with decoders.",
             engine.step_budget_seconds);
  text.gauge("longgen:host_pages_capacity", "Pages that the host may keep.",
             number(engine.host_capacity));
  text.gauge("longgen:host_pages_in_use", "Pages that the host keeps.",
             number(engine.host_kinds.total()));
  text.counter("longgen:pages_to_host_total", "Pages that were copied to the host.",
               number(engine.pages_to_host));
  text.counter("longgen:pages_from_host_total", "Pages that were copied back from the host.",
               number(engine.pages_to_device));
  text.counter("longgen:steps_total", "Steps of the engine.", number(engine.num_steps));
  text.counter("longgen:predicted_step_seconds_total", "Time of all steps, as predicted.",
               engine.predicted_seconds);
  text.counter("longgen:measured_step_seconds_total", "Time of all steps, as measured.",
               engine.measured_seconds);
  return text.text() + requests.text(model);
}

}  // namespace longgen
