// serve/openai/tool_calls.h: calls of functions in what a model says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/chat/chat_template.h"

namespace longgen::openai {

/// How models write a call:
///   hermes  <tool_call>{"name": "f", "arguments": {...}}</tool_call> anywhere (Hermes, Qwen)
///   llama3  {"name": "f", "parameters": {...}} as the whole reply, several with ";" between them
enum class ToolFormat { hermes, llama3 };

/// Looks at what the template writes of a tool and of a call. nullopt: in neither way, or it takes
/// no tools.
std::optional<ToolFormat> tool_format(const ChatTemplate& chat_template);

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  ///< the text of a JSON object
  bool operator==(const ToolCall&) const = default;
};

/// A piece of a reply: a call, or else text.
struct ReplyPart {
  std::string text;
  std::optional<ToolCall> call;
  bool operator==(const ReplyPart&) const = default;
};

/// Takes a reply apart while it comes. Text before a call leaves at once, but for white space and
/// the beginning of a tag, which may belong to a call. A call leaves when it is complete; what is
/// none after all (broken JSON, no object of arguments, a function that was not offered) leaves as
/// the text that it is. How the reply is divided changes only where text is cut. Time grows with
/// the text, not faster.
class ToolCallParser {
 public:
  /// `functions` are those that may be called; ids of calls are "call_", `id` and their number.
  ToolCallParser(ToolFormat format, std::vector<std::string> functions, std::string id);

  std::vector<ReplyPart> push(std::string_view text);
  /// Gives what was held back, when no more text comes.
  std::vector<ReplyPart> finish();
  int64_t num_calls() const { return num_calls_; }

 private:
  enum class State {
    text,    ///< no call yet: a tag may come
    open,    ///< before the first brace of a call
    object,  ///< inside its JSON
    close,   ///< after its JSON: the closing tag must come
    plain    ///< no call can come any more
  };

  /// Each goes on as far as what is held allows; true: the state has changed.
  bool step(std::vector<ReplyPart>& parts);
  bool find_tag(std::vector<ReplyPart>& parts);
  bool open_object(std::vector<ReplyPart>& parts);
  bool read_object(std::vector<ReplyPart>& parts);
  bool close_call(std::vector<ReplyPart>& parts);

  bool only_spaces_left() const;
  void skip_spaces();
  void give_text(size_t num_bytes, std::vector<ReplyPart>& parts);
  void give_call(std::vector<ReplyPart>& parts);
  void not_a_call(std::vector<ReplyPart>& parts);
  std::optional<ToolCall> parse(std::string_view json) const;

  ToolFormat format_;
  std::vector<std::string> functions_;
  std::string id_;
  State state_;
  std::string held_;
  size_t begin_ = 0;    // of what has not left yet, in held_
  size_t scanned_ = 0;  // of held_, in all states but text
  size_t object_ = 0;   // where the call's JSON begins in held_
  int64_t depth_ = 0;   // of lists and objects that are open
  bool in_string_ = false, escaped_ = false;
  std::optional<ToolCall> call_;
  int64_t num_calls_ = 0;
};

}  // namespace longgen::openai
