#include "longgen/serve/openai/request_reader.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/bounded_json.h"

namespace longgen::openai {
namespace {

constexpr int64_t kMaxAnswers = 2048;

template <typename Request>
Request read_body(std::string_view body, const FieldTable<Request>& table) {
  OrderedJson json;
  try {
    json = parse_bounded_json(body, "request body");
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "", "invalid_json");
  }
  return table.read(Input(json));
}

void only_with(bool given, const char* field, bool with, const char* what) {
  if (given && !with) refuse_at(field, std::string("expected only together with ") + what + ".");
}

/// Refuses what no field is wrong for alone.
void check_together(const GenerationRequest& request, std::optional<int64_t> token_limit) {
  only_with(request.stream_options.has_value(), "stream_options", request.stream,
            "\"stream\": true");
  only_with(request.return_progress, "return_progress", request.stream, "\"stream\": true");
  only_with(request.prompt_logprobs.has_value(), "prompt_logprobs", !request.stream,
            "\"stream\": false");
  if (token_limit && request.min_tokens > *token_limit) {
    refuse_at("min_tokens",
              detail::concat("expected at most the ", *token_limit,
                             " tokens of the request's limit, found ", request.min_tokens, "."));
  }
}

void check_tool_choice(const ChatCompletionRequest& request) {
  if (!request.tool_choice) return;
  const ToolChoiceKind kind = request.tool_choice->kind;
  const bool calls = kind == ToolChoiceKind::required || kind == ToolChoiceKind::function;
  only_with(calls, "tool_choice", !request.tools.is_null(), "tools");
  if (calls && request.callable().empty()) {
    refuse_at("tool_choice", "expected one of the tools, found the function \"" +
                                 request.tool_choice->function + "\".");
  }
}

}  // namespace

RequestReader::RequestReader(const ReadLimits& limits)
    : chat_(chat_fields(limits)),
      completion_(completion_fields(limits)),
      tokenize_(tokenize_fields()),
      detokenize_(detokenize_fields(limits)) {}

ChatCompletionRequest RequestReader::chat(std::string_view body) const {
  ChatCompletionRequest request = read_body(body, chat_);
  const bool two_limits = request.max_tokens && request.max_completion_tokens;
  if (two_limits && *request.max_tokens != *request.max_completion_tokens) {
    refuse_at("max_tokens",
              detail::concat("expected max_completion_tokens or the same number, ",
                             *request.max_completion_tokens, ", found ", *request.max_tokens, "."));
  }
  check_together(request, request.token_limit());
  only_with(request.top_logprobs.value_or(0) > 0, "top_logprobs", request.logprobs,
            "\"logprobs\": true");
  check_tool_choice(request);
  return request;
}

CompletionRequest RequestReader::completion(std::string_view body) const {
  CompletionRequest request = read_body(body, completion_);
  check_together(request, request.max_tokens);
  const auto num_prompts = static_cast<int64_t>(request.prompts.size());
  if (request.n * num_prompts > kMaxAnswers) {
    refuse_at("n", detail::concat("expected at most ", kMaxAnswers, " answers in all, found ",
                                  request.n, " to each of ", num_prompts, " prompts."));
  }
  return request;
}

TokenizeRequest RequestReader::tokenize(std::string_view body) const {
  TokenizeRequest request = read_body(body, tokenize_);
  const bool with_messages = !request.messages.empty();
  if (request.prompt.has_value() == with_messages) {
    refuse_at("prompt", with_messages ? "expected either prompt or messages, found both."
                                      : "expected either prompt or messages, found neither.");
  }
  only_with(!request.tools.is_null(), "tools", with_messages, "messages");
  only_with(!request.template_variables.empty(), "chat_template_kwargs", with_messages, "messages");
  return request;
}

DetokenizeRequest RequestReader::detokenize(std::string_view body) const {
  return read_body(body, detokenize_);
}

}  // namespace longgen::openai
