#include "longgen/serve/openai/responses.h"

#include <cmath>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/choice.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::openai {
namespace {

constexpr Choice<FinishReason, 3> kReasons = {{{{"stop", FinishReason::stop},
                                                {"length", FinishReason::length},
                                                {"tool_calls", FinishReason::tool_calls}}}};

OrderedJson usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

OrderedJson head_json(const AnswerHead& head, const char* object) {
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

OrderedJson call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

OrderedJson message_json(const ChatChoice& choice) {
  const bool only_calls = choice.text.empty() && !choice.tool_calls.empty();
  OrderedJson message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  if (only_calls) message["content"] = nullptr;
  for (const ToolCall& call : choice.tool_calls) message["tool_calls"].push_back(call_json(call));
  return message;
}

int64_t milliseconds(double seconds) { return std::llround(1000 * seconds); }

OrderedJson entry_json(const ModelEntry& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "longgen"},
          {"max_model_len", model.max_model_len}};
}

}  // namespace

std::string chat_completion(const AnswerHead& head, const std::vector<ChatChoice>& choices,
                            const Usage& usage, const OrderedJson& prompt_logprobs) {
  OrderedJson answer = head_json(head, "chat.completion");
  answer["choices"] = OrderedJson::array();
  for (const ChatChoice& choice : choices) {
    answer["choices"].push_back({{"index", answer["choices"].size()},
                                 {"message", message_json(choice)},
                                 {"logprobs", choice.logprobs},
                                 {"finish_reason", kReasons.name(choice.finish)}});
  }
  answer["usage"] = usage_json(usage);
  if (!prompt_logprobs.is_null()) answer["prompt_logprobs"] = prompt_logprobs;
  return dump_json(answer);
}

std::string text_completion(const AnswerHead& head, const std::vector<CompletionChoice>& choices,
                            const Usage& usage) {
  OrderedJson answer = head_json(head, "text_completion");
  answer["choices"] = OrderedJson::array();
  for (const CompletionChoice& choice : choices) {
    OrderedJson json = {{"index", answer["choices"].size()},
                        {"text", choice.text},
                        {"logprobs", choice.logprobs},
                        {"finish_reason", kReasons.name(choice.finish)}};
    if (!choice.prompt_logprobs.is_null()) json["prompt_logprobs"] = choice.prompt_logprobs;
    answer["choices"].push_back(std::move(json));
  }
  answer["usage"] = usage_json(usage);
  return dump_json(answer);
}

std::string sse_event(const OrderedJson& json) { return "data: " + dump_json(json) + "\n\n"; }

std::string sse_comment(const std::string& text) {
  LG_DCHECK(text.find_first_of("\r\n") == std::string::npos);
  return ": " + text + "\n\n";
}

OrderedJson EventWriter::begin() const {
  return head_json(head_, route_ == Route::chat ? "chat.completion.chunk" : "text_completion");
}

std::string EventWriter::event(OrderedJson choice, const Usage& so_far) const {
  OrderedJson json = begin();
  json["choices"] = OrderedJson::array({std::move(choice)});
  if (options_.continuous_usage_stats) {
    json["usage"] = usage_json(so_far);
  } else if (options_.include_usage) {
    json["usage"] = nullptr;
  }
  return sse_event(json);
}

std::string EventWriter::delta(int64_t index, OrderedJson delta, OrderedJson logprobs,
                               const Usage& so_far) const {
  return event({{"index", index},
                {"delta", std::move(delta)},
                {"logprobs", std::move(logprobs)},
                {"finish_reason", nullptr}},
               so_far);
}

std::string EventWriter::role(int64_t index, const Usage& so_far) const {
  LG_DCHECK(route_ == Route::chat);
  return delta(index, {{"role", "assistant"}, {"content", ""}}, nullptr, so_far);
}

std::string EventWriter::text(int64_t index, const std::string& text, OrderedJson logprobs,
                              const Usage& so_far) const {
  LG_DCHECK(is_valid_utf8(text));
  if (route_ == Route::chat) {
    return delta(index, OrderedJson{{"content", text}}, std::move(logprobs), so_far);
  }
  return event({{"index", index},
                {"text", text},
                {"logprobs", std::move(logprobs)},
                {"finish_reason", nullptr}},
               so_far);
}

std::string EventWriter::tool_call(int64_t index, int64_t call_index, const ToolCall& call,
                                   const Usage& so_far) const {
  LG_DCHECK(route_ == Route::chat);
  OrderedJson json = {{"index", call_index}};
  json.update(call_json(call));
  return delta(index, OrderedJson{{"tool_calls", OrderedJson::array({std::move(json)})}}, nullptr,
               so_far);
}

std::string EventWriter::finish(int64_t index, FinishReason reason, const Usage& so_far) const {
  OrderedJson choice = {{"index", index}};
  if (route_ == Route::chat) {
    choice["delta"] = OrderedJson::object();
  } else {
    choice["text"] = "";
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = kReasons.name(reason);
  return event(std::move(choice), so_far);
}

std::string EventWriter::usage(const Usage& usage) const {
  if (!options_.include_usage) return "";
  OrderedJson json = begin();
  json["choices"] = OrderedJson::array();
  json["usage"] = usage_json(usage);
  return sse_event(json);
}

std::string EventWriter::progress(const Progress& progress) const {
  OrderedJson json = begin();
  json["choices"] = OrderedJson::array();
  json["prompt_progress"] = {{"total", progress.total_tokens},
                             {"cache", progress.cached_tokens},
                             {"processed", progress.processed_tokens},
                             {"time_ms", milliseconds(progress.seconds)},
                             {"eta_ms", milliseconds(progress.remaining_seconds)}};
  return sse_event(json);
}

std::string models_list(const std::vector<ModelEntry>& models) {
  OrderedJson data = OrderedJson::array();
  for (const ModelEntry& model : models) data.push_back(entry_json(model));
  return dump_json(OrderedJson{{"object", "list"}, {"data", std::move(data)}});
}

std::string model_entry(const ModelEntry& model) { return dump_json(entry_json(model)); }

std::string tokenized(const std::vector<int32_t>& tokens, int64_t max_model_len,
                      const std::optional<std::vector<std::string>>& texts) {
  OrderedJson json = {{"count", tokens.size()}, {"max_model_len", max_model_len}};
  json["tokens"] = tokens;
  json["token_strs"] = nullptr;
  if (texts) json["token_strs"] = *texts;
  return dump_json(json);
}

std::string detokenized(const std::string& text) {
  return dump_json(OrderedJson{{"prompt", text}});
}

}  // namespace longgen::openai
