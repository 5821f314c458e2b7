// serve/served_model.h: what requests and answers need of the model that is served.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/chat/chat_template.h"
#include "longgen/model/layer_plan.h"
#include "longgen/serve/openai/tool_calls.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// It does not change once it is made, so that all threads read it.
struct ServedModel {
  std::string name;  ///< by which clients ask for it
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template = {};         ///< base models have none
  std::optional<openai::ToolFormat> tool_format = {};     ///< in which it writes calls of functions
  std::vector<int32_t> chat_stops = {}, text_stops = {};  ///< tokens that end a turn, and a text
  /// False: tokens are only numbers, and prompts are lists of them.
  bool reads_texts = true;
  int64_t context = 0;  ///< prompt and answer together have at most as many tokens
  /// A longer text has more tokens than the context, whatever they are.
  int64_t max_text_bytes = int64_t{64} << 20;
  int64_t vocab_size = 0;  ///< ids below it are known to both tokenizer and weights
  int64_t created = 0;     ///< seconds since 1970
  LayerPlan layers = {};   ///< what they see
  /// Of a chat that says no max_tokens, where there is room; by default as many as there is room
  /// for.
  std::optional<int64_t> default_max_tokens = {};

  /// For TokenBytes: of each token below vocab_size; none of special tokens and those that end a
  /// reply.
  std::vector<std::string> token_bytes() const;
};

}  // namespace longgen
