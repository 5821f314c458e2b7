// api/chat_session.h: a conversation with a model: its messages, their tokens, and how much of them
// the KV cache holds. The one place of chat that knows the model's chat template.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/api/load.h"
#include "longgen/chat/chat_template.h"
#include "longgen/engine/generate.h"

namespace longgen {

class ChatSession {
 public:
  /// Starts a conversation without messages. `request` holds what the template is given beside
  /// them. The model must outlive the conversation.
  ChatSession(const LoadedModel& model, ChatTemplate chat_template, ChatRequest request,
              int64_t chunk);

  /// Sets the system message, or none, of the turns to come and of those so far. Throws Error where
  /// the chat template takes no such message: nothing has changed then.
  void set_system(std::optional<std::string> text);
  const std::optional<std::string>& system() const { return system_; }

  /// Adds a message of the user, and gives the number of tokens that the model must read before it
  /// answers. Throws Error where the chat template refuses it: nothing has changed then.
  int64_t ask(const std::string& text);
  /// Answers the message that was asked last, and adds the reply. A reply that was ended before its
  /// first token is none: the message is then taken back, as it is when this throws.
  Generated answer(const GenerateOptions& options, const GenerateCallbacks& callbacks);

  /// Forgets all messages but the system's.
  void reset();

  /// Counts the tokens of all that was asked and answered.
  int64_t num_tokens() const { return static_cast<int64_t>(prompt_.size()); }
  /// Returns all messages, the system's among them, as a ChatRequest has them.
  OrderedJson messages() const;
  /// Returns the texts of the tokens that end a turn.
  const std::vector<std::string>& stop_tokens() const { return stop_tokens_; }
  const Session& session() const { return session_; }

 private:
  std::vector<int32_t> encode(OrderedJson messages) const;
  void forget_cache();

  const LoadedModel& model_;
  ChatTemplate template_;
  ChatRequest request_;  // without messages
  std::vector<std::string> stop_tokens_;
  Session session_;
  std::optional<std::string> system_;
  OrderedJson turns_ = OrderedJson::array();
  std::vector<int32_t> prompt_;  // of the last ask(), and of its reply
  std::vector<int32_t> held_;    // in the session's cache
};

}  // namespace longgen
