// cli/conversation.h: a conversation with a model: its messages, their tokens, and how much of them
// the KV cache holds. The one place of chat that knows the model's chat format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/cli/load.h"
#include "longgen/generate/generate.h"
#include "longgen/tokenizer/chat_format.h"

namespace longgen {

class Conversation {
 public:
  /// The model must outlive it.
  Conversation(const LoadedModel& model, ChatFormat format, int64_t chunk);

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

  /// Of all that was asked and answered.
  int64_t num_tokens() const { return static_cast<int64_t>(prompt_.size()); }
  /// The system's among them.
  std::vector<ChatMessage> messages() const;
  /// Texts of the tokens that end a turn.
  const std::vector<std::string>& stop_tokens() const { return format_.stop_tokens(); }
  const Session& session() const { return session_; }

 private:
  std::vector<int32_t> encode(const std::vector<ChatMessage>& messages) const;
  void forget_cache();

  const LoadedModel& model_;
  ChatFormat format_;
  Session session_;
  std::optional<std::string> system_;
  std::vector<ChatMessage> turns_;
  std::vector<int32_t> prompt_;  // of the last ask(), and of its reply
  std::vector<int32_t> held_;    // in the session's cache
};

}  // namespace longgen
