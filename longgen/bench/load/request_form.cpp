#include "longgen/bench/load/request_form.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/bench/client/event_reader.h"

namespace longgen {
namespace {

constexpr size_t kMaxMessage = 300;

struct OptionalField {
  const char* name;
  bool RequestForm::*is_sent;
};

// Those that few servers know stand first.
constexpr OptionalField kOptionalFields[] = {
    {"continuous_usage_stats", &RequestForm::continuous_usage},
    {"min_tokens", &RequestForm::min_tokens},
    {"ignore_eos", &RequestForm::ignore_eos},
    {"stream_options", &RequestForm::usage}};

/// Leaves out the field that the message names, else the first one that is there. Returns its name,
/// or nothing where there is none left.
const char* leave_one_out(RequestForm& form, const std::string& message) {
  const OptionalField* which = nullptr;
  for (const OptionalField& field : kOptionalFields) {
    if (!(form.*field.is_sent)) continue;
    if (which == nullptr) which = &field;
    if (message.find(field.name) != std::string::npos) {
      which = &field;
      break;
    }
  }
  if (which == nullptr) return nullptr;
  form.*which->is_sent = false;
  if (which->is_sent == &RequestForm::usage) form.continuous_usage = false;
  return which->name;
}

TokenUsage usage_of_stream(const std::string& body) {
  EventReader events;
  events.feed(body);
  TokenUsage usage;
  while (const auto data = events.next()) {
    const StreamPart part = read_stream_part(*data);
    LG_CHECK(part.error.empty(), "the server answered with an error: ", part.error);
    if (part.usage.prompt) usage = part.usage;
  }
  return usage;
}

}  // namespace

std::string RequestForm::path() const {
  return endpoint == Endpoint::chat ? "/v1/chat/completions" : "/v1/completions";
}

std::string RequestForm::body(const std::string& prompt, int64_t reply_tokens) const {
  OrderedJson json = {
      {"model", model}, {"max_tokens", reply_tokens}, {"temperature", 0}, {"stream", true}};
  if (ignore_eos) json["ignore_eos"] = true;
  if (min_tokens) json["min_tokens"] = reply_tokens;
  if (usage) json["stream_options"]["include_usage"] = true;
  if (continuous_usage) json["stream_options"]["continuous_usage_stats"] = true;
  // The prompt may be a megabyte: it is put in as it is.
  const std::string head = dump_json(json);
  const std::string field = endpoint == Endpoint::chat
                                ? R"("messages":[{"role":"user","content":)" + prompt + "}]"
                                : "\"prompt\":" + prompt;
  return head.substr(0, head.size() - 1) + "," + field + "}";
}

std::string visible(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, '?');
  return text;
}

std::string error_message(const std::string& body) {
  std::string message = body;
  try {
    const StreamPart part = read_stream_part(body);
    if (!part.error.empty()) message = part.error;
  } catch (const Error&) {
    // No JSON: the body itself says more than nothing.
  }
  if (message.size() > kMaxMessage) message = message.substr(0, kMaxMessage) + "...";
  return visible(message);
}

int64_t count_by_usage(HttpClient& client, const RequestForm& form, const std::string& text) {
  const HttpAnswer answer = client.ask({"POST", form.path(), form.body(dump_json(Json(text)), 1)});
  LG_CHECK(answer.head.status == 200, "the server answers a request to ", form.path(), " with ",
           answer.head.status, ": ", error_message(answer.body));
  const TokenUsage usage = usage_of_stream(answer.body);
  LG_CHECK(usage.prompt,
           "the server neither has /tokenize nor says the usage of a stream: prompts "
           "of a length cannot be made of words. Use --endpoint completions with token ids.");
  return *usage.prompt;
}

Negotiated negotiate(HttpClient& client, RequestForm form, const std::string& prompt) {
  Negotiated result{.form = std::move(form), .refused = {}, .usage = {}};
  for (;;) {
    const HttpAnswer answer = client.ask({"POST", result.form.path(), result.form.body(prompt, 1)});
    if (answer.head.status == 200) {
      result.usage = usage_of_stream(answer.body);
      return result;
    }
    const std::string message = error_message(answer.body);
    const bool is_refused = answer.head.status == 400 || answer.head.status == 422;
    const char* const name = is_refused ? leave_one_out(result.form, message) : nullptr;
    LG_CHECK(name != nullptr, "the server answers a request to ", result.form.path(), " with ",
             answer.head.status, ": ", message);
    result.refused.push_back(name);
  }
}

}  // namespace longgen
