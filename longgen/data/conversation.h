// data/conversation.h: conversations as tokens, of which the assistant's are to be learned.
#pragma once

#include <string_view>
#include <unordered_set>

#include "longgen/chat/chat_template.h"
#include "longgen/data/marks.h"

namespace longgen {

/// Renders conversations with a chat template. Usable from several threads.
///
/// What is learned of an assistant's turn is what stands behind the beginning that the template
/// writes for a reply (add_generation_prompt), as far as the turn has it, up to the token that ends
/// the turn, this one too. For that the template has to write a conversation that goes on as it
/// began.
class ConversationEncoder {
 public:
  /// The tokenizer must outlive it. Of `request` its variables, tools and documents count; a line's
  /// own tools replace the request's. A template that asks for the date is given 26 July 2024.
  ConversationEncoder(const Tokenizer& tokenizer, ChatTemplate format, ChatRequest request);

  /// Takes the text of a JSON object with "messages" and perhaps "tools" (docs/data.md). Adds no
  /// tokens to those that the template writes. Throws Error saying what is wrong with the messages,
  /// or with the template.
  MarkedTokens encode(std::string_view json) const;

 private:
  std::vector<ByteRange> assistant_turns(const ChatRequest& request, const std::string& text,
                                         const std::vector<int32_t>& ids,
                                         const std::vector<ByteRange>& places) const;
  size_t begin_of_turn(const ChatRequest& request, size_t message, const std::string& text) const;
  size_t end_of_turn(const ChatRequest& request, size_t message, size_t begin,
                     const std::string& text, const std::vector<int32_t>& ids,
                     const std::vector<ByteRange>& places) const;

  const Tokenizer& tokenizer_;
  ChatTemplate format_;
  ChatRequest request_;
  std::unordered_set<int32_t> stop_ids_;
};

}  // namespace longgen
