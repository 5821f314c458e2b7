// tokenizer/chat_format.h: a conversation as the text that the model was trained on.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/tokenizer/chat_template.h"

namespace longgen {

struct ChatMessage {
  std::string role;  ///< system (first only, where the format allows one), user or assistant
  std::string content;
};

/// One of the formats ChatML (SmolLM2, Qwen 2 and 2.5), Llama 2, Llama 3 and Mistral, with the
/// details that the model's own chat template gives: default system message, spaces, trimming,
/// dates.
class ChatFormat {
 public:
  /// `text` is a Jinja chat template, `source` names it in errors. Throws Error naming the
  /// supported formats when it is none of them. bos and eos are the texts of the tokens.
  static ChatFormat from_template(const std::string& text, const std::string& source,
                                  const std::string& bos, const std::string& eos);

  /// What transformers' apply_chat_template gives, BOS included where the template writes it:
  /// encode the result with add_special_tokens off and parse_special on. Throws Error on no
  /// messages, on other roles, and on an order of roles that the template refuses.
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

  /// Generation ends at each of these tokens.
  const std::vector<std::string>& stop_tokens() const { return stop_tokens_; }
  /// "ChatML", "Llama 2", "Llama 3" or "Mistral".
  const std::string& name() const { return name_; }

 private:
  enum class Prompt { never, on_request, always };

  bool read_chatml(const ChatTemplate& parsed);
  bool read_default_system(const ChatTemplate& parsed);
  bool writes_bos() const;
  void check_tokens();
  bool covers(const ChatTemplate& parsed) const;
  bool read_llama3(const ChatTemplate& parsed);
  bool read_date(const TemplateRun& run);
  bool read_inst(const ChatTemplate& parsed);
  void read_prompt(const ChatTemplate& parsed, const std::string& text);
  void check_roles(const std::vector<ChatMessage>& messages) const;
  std::string fill(const TemplateRun& run, const ChatMessage& message,
                   const std::string& system) const;
  std::string today() const;
  std::string render_turns(const std::vector<ChatMessage>& messages) const;
  std::string render_inst(const std::vector<ChatMessage>& messages) const;

  std::string name_, source_, bos_, eos_;
  std::vector<std::string> stop_tokens_;
  bool writes_bos_ = false;  // before everything else
  bool alternates_ = false;  // user and assistant in turns: Llama 2 and Mistral
  bool system_last_ =
      false;  // Mistral: the system message goes into the last user turn, if that comes last
  TemplateRun user_, assistant_;  // one turn
  TemplateRun system_;            // alternating formats: system message and user content in one
  std::string default_system_;    // the whole turn that stands in when there is no system message
  TemplateRun dated_system_;      // Llama 3.1: what stands before the system message
  std::string date_;              // of it; empty: today
  std::string prompt_;            // what the assistant's turn starts with
  Prompt prompts_ = Prompt::never;
};

/// Reads chat_template.jinja, or chat_template of tokenizer_config.json, of a model directory.
/// Throws Error when there is none or when it is not supported.
ChatFormat load_chat_format(const fs::path& model_directory);

}  // namespace longgen
