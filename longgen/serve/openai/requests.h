// serve/openai/requests.h: what a client asks for, as plain structs, one a route. Each value is
// checked (openai/request_reader.h); what the fields mean says the table of the route.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "longgen/chat/chat_template.h"

namespace longgen::openai {

/// What the tables of fields need to know of a server.
struct ReadLimits {
  int64_t vocab_size = 0;
};

struct LogitBias {
  int32_t token = 0;
  double bias = 0;
  bool operator==(const LogitBias&) const = default;
};

struct StreamOptions {
  bool include_usage = false;
  bool continuous_usage_stats = false;
};

enum class FormatKind { text, json_object, json_schema };

struct ResponseFormat {
  FormatKind kind = FormatKind::text;
  std::string schema;  ///< of json_schema: the text of a JSON object, nested at most 64 deep
};

/// What chat completions and completions share.
struct GenerationRequest {
  std::optional<std::string> model;

  int64_t n = 1;
  double temperature = 1, top_p = 1, min_p = 0;
  int64_t top_k = 0;  ///< 0 and -1: all tokens
  double frequency_penalty = 0, presence_penalty = 0, repetition_penalty = 1;
  std::optional<int64_t> seed;
  std::vector<LogitBias> logit_bias;  ///< no token twice

  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  int64_t min_tokens = 0;
  bool ignore_eos = false;

  std::optional<int64_t> prompt_logprobs;
  ResponseFormat response_format;

  int64_t priority = 0;
  std::optional<std::string> cache_salt;

  bool stream = false;
  std::optional<StreamOptions> stream_options;
  bool return_progress = false;
};

enum class ToolChoiceKind { none, automatic, required, function };

struct ToolChoice {
  ToolChoiceKind kind = ToolChoiceKind::automatic;
  std::string function;  ///< of ToolChoiceKind::function: one of the tools
};

/// What a chat template is rendered from. Members are as ChatRequest (chat/chat_template.h) has
/// them: content is a text, arguments of calls are objects.
struct ChatMessages {
  OrderedJson messages = OrderedJson::array();
  OrderedJson tools = nullptr;
  OrderedJson template_variables = OrderedJson::object();
};

struct ChatCompletionRequest : GenerationRequest, ChatMessages {
  std::optional<ToolChoice> tool_choice;
  std::optional<int64_t> max_tokens, max_completion_tokens;  ///< equal where both are given
  bool logprobs = false;
  std::optional<int64_t> top_logprobs;

  /// The most tokens to generate; nullopt: as many as the context has room for.
  std::optional<int64_t> token_limit() const {
    return max_completion_tokens ? max_completion_tokens : max_tokens;
  }
  /// Without tools where the client chose that none may be called.
  ChatRequest template_request() const;
  /// The names of the functions that a reply may call.
  std::vector<std::string> callable() const;
};

/// A text or the ids of tokens.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest : GenerationRequest {
  std::vector<Prompt> prompts;  ///< at least one; ids are never empty
  int64_t max_tokens = 16;
  bool echo = false;
  std::optional<int64_t> logprobs;
  bool add_special_tokens = true;
};

struct TokenizeRequest : ChatMessages {
  std::optional<std::string> model;
  std::optional<std::string> prompt;  ///< either this or messages
  bool add_special_tokens = true;
  bool add_generation_prompt = true;
  bool return_token_strs = false;

  ChatRequest template_request() const;
};

struct DetokenizeRequest {
  std::optional<std::string> model;
  std::vector<int32_t> tokens;
};

}  // namespace longgen::openai
