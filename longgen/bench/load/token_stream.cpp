#include "longgen/bench/load/token_stream.h"

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

std::optional<int64_t> count_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  const auto count = found->get<int64_t>();
  return count >= 0 ? std::optional(count) : std::nullopt;
}

TokenUsage usage_of(const Json& event) {
  const auto found = event.find("usage");
  if (found == event.end() || !found->is_object()) return {};
  TokenUsage usage{.prompt = count_in(*found, "prompt_tokens"),
                   .completion = count_in(*found, "completion_tokens")};
  const auto details = found->find("prompt_tokens_details");
  if (details != found->end() && details->is_object()) {
    usage.cached = count_in(*details, "cached_tokens");
  }
  return usage;
}

bool has_text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() &&
         !found->get_ref<const std::string&>().empty();
}

bool has_text(const Json& choice) {
  if (has_text_in(choice, "text")) return true;
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return false;
  const auto calls = delta->find("tool_calls");
  return has_text_in(*delta, "content") || has_text_in(*delta, "reasoning_content") ||
         has_text_in(*delta, "reasoning") ||
         (calls != delta->end() && calls->is_array() && !calls->empty());
}

std::string error_of(const Json& error) {
  if (error.is_string()) return error.get<std::string>();
  if (error.is_object() && has_text_in(error, "message")) return error["message"];
  return dump_json(error);
}

}  // namespace

StreamPart read_stream_part(std::string_view data) {
  if (data == "[DONE]") return {.is_done = true};
  const Json event = parse_json(data, "event of the stream");
  LG_CHECK(event.is_object(), "event of the stream: expected an object.");
  StreamPart part{.usage = usage_of(event)};
  if (const auto error = event.find("error"); error != event.end() && !error->is_null()) {
    part.error = error_of(*error);
  }
  const auto choices = event.find("choices");
  if (choices == event.end() || !choices->is_array()) return part;
  for (const Json& choice : *choices) {
    LG_CHECK(choice.is_object(), "event of the stream: expected objects in choices.");
    part.has_text = part.has_text || has_text(choice);
    part.is_finish = part.is_finish || has_text_in(choice, "finish_reason");
  }
  return part;
}

}  // namespace longgen
