// chat/chat_template.h: a conversation as the text that a model was trained on.
#pragma once

#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/chat/jinja/template.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// What a template is asked to render. Objects keep the order of their keys, which templates print.
struct ChatRequest {
  /// An array of objects, at least one: "role", and what the role has: "content" as a string or an
  /// array of parts, "tool_calls", "reasoning_content", ... Members that are null count as missing.
  OrderedJson messages = OrderedJson::array();
  /// null, or an array of objects: JSON schemas of functions.
  OrderedJson tools = nullptr;
  /// null, or an array of objects with "title" and "text".
  OrderedJson documents = nullptr;
  /// More variables of the template ("enable_thinking"); they go before the special tokens.
  OrderedJson variables = OrderedJson::object();
  /// Ends with the beginning of the assistant's turn.
  bool add_generation_prompt = false;
};

/// {"role": role, "content": content}.
OrderedJson chat_message(const std::string& role, const std::string& content);

/// A rendered conversation. Special tokens are recognised only in what the template wrote, so that
/// no message can forge one.
struct RenderedChat {
  std::string text;
  std::vector<ByteRange> written;  ///< what the template wrote: ranges that ascend

  /// The ids; BOS is there where the template writes it.
  std::vector<int32_t> encode(const Tokenizer& tokenizer) const;
};

/// The chat template of a model: one Jinja template, or several by name.
class ChatTemplate {
 public:
  /// Special tokens by the names that templates know them by: "bos_token".
  using SpecialTokens = std::map<std::string, std::string>;

  /// One template. `source` names it in errors. Throws Error on what is no template.
  ChatTemplate(const std::string& text, const std::string& source, SpecialTokens tokens,
               const jinja::Limits& limits = {});
  /// What a model directory has: chat_template.jinja and additional_chat_templates/NAME.jinja, or
  /// else chat_template of tokenizer_config.json, with the special tokens of that file and of
  /// special_tokens_map.json. Nothing where there is no template. Throws Error when there is none
  /// that is read.
  static std::optional<ChatTemplate> find(const fs::path& model_directory);
  /// Does what find() does, and throws Error when there is no template.
  static ChatTemplate load(const fs::path& model_directory);

  /// What transformers' apply_chat_template gives: of several templates "tool_use" where tools are
  /// given and "default" otherwise. Throws Error naming what is wrong with the request, or the
  /// template's file and line.
  RenderedChat render(const ChatRequest& request) const;

  /// The tokens that end an assistant's turn: what the template writes after its content, and
  /// eos_token. Empty where neither is a token.
  std::vector<std::string> stop_tokens(const Tokenizer& tokenizer) const;

  /// The text of the template for chats without tools.
  const std::string& text() const { return text_; }
  /// The file, or the file and field, that the template is from.
  const std::string& source() const { return source_; }

  /// The time that templates see instead of the local one, for tests.
  void set_now(const std::tm& now) { now_ = now; }

 private:
  explicit ChatTemplate(SpecialTokens tokens) : tokens_(std::move(tokens)) {}
  void add(const std::string& name, const std::string& text, const std::string& source);
  /// Adds chat_template of a tokenizer_config.json, where it has one.
  void add_from_config(const fs::path& path);
  const jinja::Template& choose(bool with_tools) const;
  std::optional<std::string> end_of_turn(const Tokenizer& tokenizer,
                                         const OrderedJson& messages) const;

  SpecialTokens tokens_;
  std::map<std::string, jinja::Template> templates_;
  std::string source_, text_;
  jinja::Limits limits_;
  std::optional<std::tm> now_;
};

}  // namespace longgen
