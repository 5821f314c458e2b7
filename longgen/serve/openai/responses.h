// serve/openai/responses.h: answers as OpenAI's objects, whole or as events of a stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/serve/openai/requests.h"
#include "longgen/serve/openai/tool_calls.h"

namespace longgen::openai {

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, found in the prefix cache
};

enum class FinishReason { stop, length, tool_calls };

/// What all parts of one answer begin with.
struct AnswerHead {
  std::string id;       ///< "chatcmpl-...", "cmpl-..."
  int64_t created = 0;  ///< seconds since 1970
  std::string model;
};

struct ChatChoice {
  std::string text = {};
  std::vector<ToolCall> tool_calls = {};
  FinishReason finish = FinishReason::stop;
  OrderedJson logprobs = nullptr;  ///< chat_logprobs()
};

struct CompletionChoice {
  std::string text = {};
  FinishReason finish = FinishReason::stop;
  OrderedJson logprobs = nullptr;         ///< CompletionLogprobs
  OrderedJson prompt_logprobs = nullptr;  ///< prompt_logprobs(), where it was asked for
};

/// Writes a chat.completion; `prompt_logprobs` is left out where it is null.
std::string chat_completion(const AnswerHead& head, const std::vector<ChatChoice>& choices,
                            const Usage& usage, const OrderedJson& prompt_logprobs = nullptr);

/// Writes a text_completion. Choices stand in the order prompt by prompt, n to each.
std::string text_completion(const AnswerHead& head, const std::vector<CompletionChoice>& choices,
                            const Usage& usage);

struct Progress {
  int64_t total_tokens = 0;      ///< of the prompt
  int64_t cached_tokens = 0;     ///< of them, found in the prefix cache
  int64_t processed_tokens = 0;  ///< of them, read or found so far
  double seconds = 0;            ///< since the request came
  double remaining_seconds = 0;  ///< until the first token, as predicted
};

/// Returns "data: JSON" with the empty line that ends an event.
std::string sse_event(const OrderedJson& json);
/// Returns a comment, which clients skip: it keeps proxies awake. The text must be one line.
std::string sse_comment(const std::string& text);

/// The events of a stream; [DONE] is not among them. Texts must be valid UTF-8: a character that is
/// not complete yet is the caller's to hold back. `so_far` is sent where the client asked for
/// continuous_usage_stats.
class EventWriter {
 public:
  enum class Route { chat, completion };
  EventWriter(Route route, AnswerHead head, const std::optional<StreamOptions>& options)
      : route_(route), head_(std::move(head)), options_(options.value_or(StreamOptions{})) {}

  /// Begins a choice of a chat: the assistant's role, before any text.
  std::string role(int64_t index, const Usage& so_far) const;
  std::string text(int64_t index, const std::string& text, OrderedJson logprobs,
                   const Usage& so_far) const;
  /// A whole call of a function; `call_index` counts those of the choice.
  std::string tool_call(int64_t index, int64_t call_index, const ToolCall& call,
                        const Usage& so_far) const;
  std::string finish(int64_t index, FinishReason reason, const Usage& so_far) const;
  /// The last event, empty unless the client asked for include_usage.
  std::string usage(const Usage& usage) const;
  std::string progress(const Progress& progress) const;

 private:
  OrderedJson begin() const;
  std::string event(OrderedJson choice, const Usage& so_far) const;
  std::string delta(int64_t index, OrderedJson delta, OrderedJson logprobs,
                    const Usage& so_far) const;

  Route route_;
  AnswerHead head_;
  StreamOptions options_;
};

struct ModelEntry {
  std::string id;
  int64_t created = 0;
  int64_t max_model_len = 0;  ///< the longest prompt and answer together, in tokens
};
std::string models_list(const std::vector<ModelEntry>& models);
std::string model_entry(const ModelEntry& model);

/// Writes the answer of /tokenize; `texts` of the tokens where they were asked for.
std::string tokenized(const std::vector<int32_t>& tokens, int64_t max_model_len,
                      const std::optional<std::vector<std::string>>& texts);
std::string detokenized(const std::string& text);

}  // namespace longgen::openai
