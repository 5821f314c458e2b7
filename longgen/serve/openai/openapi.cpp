#include "longgen/serve/openai/openapi.h"

#include <array>
#include <string_view>

#include "longgen/base/ordered_json.h"
#include "longgen/serve/openai/answer_schemas.h"
#include "longgen/serve/openai/fields.h"

namespace longgen::openai {
namespace {

struct Route {
  const char* path;
  const char* summary;
  const char* request;  // a schema; null: GET
  const char* answer;   // a schema; null: what `summary` says
  bool streams = false;
};

constexpr std::array<Route, 11> kRoutes = {{
    {"/v1/chat/completions", "Continues a conversation.", "ChatCompletionRequest", "ChatCompletion",
     true},
    {"/v1/completions", "Continues texts.", "CompletionRequest", "Completion", true},
    {"/v1/models", "Lists the models.", nullptr, "ModelList"},
    {"/v1/models/{model}", "Describes a model.", nullptr, "Model"},
    {"/tokenize", "Makes tokens of a text or a conversation.", "TokenizeRequest", "Tokenized"},
    {"/detokenize", "Makes a text of tokens.", "DetokenizeRequest", "Detokenized"},
    {"/tokenizer_info", "Says how the tokenizer begins and ends texts.", nullptr, "TokenizerInfo"},
    {"/health", "Says whether the server works.", nullptr, nullptr},
    {"/metrics", "Gives metrics in the text format of Prometheus.", nullptr, nullptr},
    {"/server/state", "Says what the server is doing.", nullptr, "ServerState"},
    {"/openapi.json", "Gives this description.", nullptr, nullptr},
}};

struct Failure {
  const char* status;
  const char* when;
  bool of_requests;  // with a body only
};

constexpr std::array<Failure, 7> kFailures = {{
    {"400", "Something is wrong with the request; the message says what.", true},
    {"401", "A key is needed.", false},
    {"404", "There is no such model or page.", false},
    {"413", "The body is too large.", true},
    {"429", "Too much is waiting; Retry-After says when to come again.", true},
    {"500", "The server made a mistake.", false},
    {"503", "The server ends, or has failed.", false},
}};

OrderedJson reference(const std::string& schema) {
  return {{"$ref", "#/components/schemas/" + schema}};
}

OrderedJson json_content(const std::string& schema) {
  return {{"application/json", {{"schema", reference(schema)}}}};
}

OrderedJson responses(const Route& route) {
  OrderedJson good = {{"description", "The answer."}};
  if (route.answer != nullptr) good["content"] = json_content(route.answer);
  if (route.streams) {
    good["content"]["text/event-stream"] = {{"schema", {{"type", "string"}}}};
  }
  OrderedJson all = {{"200", std::move(good)}};
  for (const Failure& failure : kFailures) {
    if (failure.of_requests && route.request == nullptr) continue;
    all[failure.status] = {{"description", failure.when}, {"content", json_content("Error")}};
  }
  return all;
}

OrderedJson operation(const Route& route) {
  OrderedJson operation = {{"summary", route.summary}};
  if (std::string_view(route.path).find("{model}") != std::string_view::npos) {
    const OrderedJson name = {
        {"name", "model"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}};
    operation["parameters"] = OrderedJson::array({name});
  }
  if (route.request != nullptr) {
    operation["requestBody"] = {{"required", true}, {"content", json_content(route.request)}};
  }
  operation["responses"] = responses(route);
  return {{route.request != nullptr ? "post" : "get", std::move(operation)}};
}

/// Answers that begin with an id, what they are, and when they were made: schema, and `object`.
constexpr std::array<std::pair<const char*, const char*>, 3> kHeads = {{
    {"ChatCompletion", "chat.completion"},
    {"Completion", "text_completion"},
    {"Model", "model"},
}};

void add_head(OrderedJson& schema, const char* object) {
  OrderedJson required = OrderedJson::array({"id", "object", "created"});
  required.insert(required.end(), schema["required"].begin(), schema["required"].end());
  OrderedJson properties = {{"id", {{"type", "string"}}},
                            {"object", {{"const", object}}},
                            {"created", {{"type", "integer"}}}};
  properties.update(schema["properties"]);
  schema["required"] = std::move(required);
  schema["properties"] = std::move(properties);
}

}  // namespace

std::string openapi_json(const ReadLimits& limits) {
  OrderedJson paths = OrderedJson::object();
  for (const Route& route : kRoutes) paths[route.path] = operation(route);
  OrderedJson schemas = {{"ChatCompletionRequest", chat_fields(limits).schema()},
                         {"CompletionRequest", completion_fields(limits).schema()},
                         {"TokenizeRequest", tokenize_fields().schema()},
                         {"DetokenizeRequest", detokenize_fields(limits).schema()}};
  schemas.update(parse_ordered_json(kAnswerSchemas, "schemas of answers"));
  for (const auto& [name, object] : kHeads) add_head(schemas[name], object);
  const OrderedJson key = {{"type", "http"}, {"scheme", "bearer"}};
  const OrderedJson security =
      OrderedJson::array({OrderedJson::object(), OrderedJson{{"key", OrderedJson::array()}}});
  return dump_json(OrderedJson{
      {"openapi", "3.1.0"},
      {"info", {{"title", "longgen serve"}, {"version", "1"}}},
      {"security", security},
      {"paths", std::move(paths)},
      {"components", {{"schemas", std::move(schemas)}, {"securitySchemes", {{"key", key}}}}}});
}

}  // namespace longgen::openai
