#include "longgen/bench/load/server_info.h"

#include <charconv>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/bench/load/request_form.h"

namespace longgen {
namespace {

constexpr const char* kPrediction = "longgen:step_predicted_over_measured_";

std::string text_in(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Null where the answer is no JSON, or no answer to what was asked.
Json json_of(const HttpAnswer& answer) {
  if (answer.head.status != 200) return {};
  try {
    return parse_json(answer.body, "answer");
  } catch (const Error&) {
    return {};
  }
}

const Json& listed_model(const Json& models, const std::string& wanted) {
  std::string names;
  for (const Json& each : models) {
    const std::string name = text_in(each, "id");
    if (wanted.empty() || name == wanted) return each;
    names += (names.empty() ? "" : ", ") + name;
  }
  LG_FAIL("the server has no model \"", wanted, "\"; it has ", names.empty() ? "none" : names, ".");
}

/// The labels of a sample without model_name and engine, or nothing where none are left.
std::string labels_of(std::string_view labels) {
  std::string kept;
  while (!labels.empty()) {
    const size_t close = labels.find("\",");
    const std::string_view label =
        labels.substr(0, close == std::string_view::npos ? close : close + 1);
    labels.remove_prefix(close == std::string_view::npos ? labels.size() : close + 2);
    if (label.starts_with("model_name=") || label.starts_with("engine=")) continue;
    kept += (kept.empty() ? "" : ",") + std::string(label);
  }
  return kept.empty() ? kept : "{" + kept + "}";
}

std::optional<double> ratio(double part, double whole) {
  return whole > 0 ? std::optional(part / whole) : std::nullopt;
}

}  // namespace

std::string ServerInfo::name() const {
  std::string name = owner.empty() ? header : owner;
  if (!version.empty()) name += (name.empty() ? "" : " ") + version;
  if (!header.empty() && header != owner && !owner.empty()) name += " (" + header + ")";
  return name.empty() ? "a server that does not say what it is" : name;
}

ServerInfo ask_server(HttpClient& client, const std::string& model) {
  const HttpAnswer answer = client.ask({"GET", "/v1/models"});
  LG_CHECK(answer.head.status != 401 && answer.head.status != 403, "the server wants another key (",
           error_message(answer.body), "). Give --api-key-file FILE.");
  const Json json = json_of(answer);
  LG_CHECK(json.is_object() && json.contains("data") && json["data"].is_array(),
           "/v1/models: expected a list of models, as OpenAI's API has it, found status ",
           answer.head.status, ": ", error_message(answer.body));
  const Json& found = listed_model(json["data"], model);
  ServerInfo info{.model = text_in(found, "id"),
                  .owner = visible(text_in(found, "owned_by")),
                  .header = visible(answer.head.server),
                  .version = {},
                  .context = {}};
  LG_CHECK(!info.model.empty(), "/v1/models: the model has no id.");
  if (found.contains("max_model_len") && found["max_model_len"].is_number_integer()) {
    info.context = found["max_model_len"].get<int64_t>();
  }
  info.version = visible(text_in(json_of(client.ask({"GET", "/version"})), "version"));
  return info;
}

std::optional<int64_t> count_tokens(HttpClient& client, const std::string& model,
                                    const std::string& text) {
  // llama.cpp's server reads `content`, the others `prompt`; ours refuses what it does not know.
  for (const char* field : {"prompt", "content"}) {
    OrderedJson body = {{field, text}};
    if (field == std::string("prompt")) body["model"] = model;
    const Json json = json_of(client.ask({"POST", "/tokenize", dump_json(body)}));
    if (!json.is_object() || !json.contains("tokens") || !json["tokens"].is_array()) continue;
    if (!json["tokens"].empty()) return std::ssize(json["tokens"]);
  }
  return std::nullopt;
}

std::map<std::string, double> parse_metrics(std::string_view text) {
  std::map<std::string, double> samples;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with("\r")) line.remove_suffix(1);
    const size_t space = line.rfind(' ');
    if (line.starts_with("#") || space == std::string_view::npos) continue;
    double value = 0;
    const auto read = std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    if (read.ec != std::errc() || read.ptr != line.data() + line.size()) continue;
    line = line.substr(0, space);
    const size_t brace = std::min(line.find('{'), line.size());
    std::string name(line.substr(0, brace));
    if (line.ends_with("}")) name += labels_of(line.substr(brace + 1, line.size() - brace - 2));
    samples[name] += value;
  }
  return samples;
}

std::map<std::string, double> ask_metrics(HttpClient& client) {
  const HttpAnswer answer = client.ask({"GET", "/metrics"});
  return answer.head.status == 200 ? parse_metrics(answer.body) : std::map<std::string, double>();
}

ServerCounters counters_between(const std::map<std::string, double>& before,
                                const std::map<std::string, double>& after) {
  const auto value = [](const std::map<std::string, double>& from, const std::string& name) {
    const auto found = from.find(name);
    return found == from.end() ? 0 : found->second;
  };
  const auto grown = [&](const std::string& name) {
    return value(after, name) - value(before, name);
  };
  const std::string bucket = kPrediction + std::string("bucket");
  ServerCounters counters{
      .hit_rate =
          ratio(grown("vllm:prefix_cache_hits_total"), grown("vllm:prefix_cache_queries_total")),
      .predicted_over_measured = ratio(grown("longgen:predicted_step_seconds_total"),
                                       grown("longgen:measured_step_seconds_total")),
      .share_predicted_well =
          ratio(grown(bucket + "{le=\"1.25\"}") - grown(bucket + "{le=\"0.8\"}"),
                grown(kPrediction + std::string("count"))),
      .step_budget_seconds = {}};
  const double budget = value(after, "longgen:step_budget_seconds");
  if (budget > 0) counters.step_budget_seconds = budget;
  return counters;
}

}  // namespace longgen
