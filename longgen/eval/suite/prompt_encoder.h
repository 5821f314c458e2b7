// eval/suite/prompt_encoder.h: the tokens of items, divided into what is given and what is scored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/eval/prompt_fitter.h"
#include "longgen/eval/suite/item.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

struct EncodedContinuation {
  std::vector<int32_t> context;       ///< at least one
  std::vector<int32_t> continuation;  ///< at least one
  bool truncated = false;             ///< the context's first tokens are missing
};

struct EncodedPrompt {
  std::vector<int32_t> ids;
  bool truncated = false;
};

struct PromptFormat {
  /// Puts a text into the user's turn of a chat, up to and including what starts the assistant's.
  /// Empty: texts are plain.
  PromptWrap wrap = {};
  /// What stands for an empty context: BOS, or EOS where a tokenizer has no BOS.
  std::optional<int32_t> empty_context = {};
  int64_t context_tokens = 0;  ///< the model's: context and answer together take at most as many
};

/// Divides texts as lm-eval does: spaces at the end of a context belong to the continuation; both
/// are encoded together, and what follows as many tokens as the context alone has is the
/// continuation. Special tokens are recognised only in what a chat format wrote; the tokenizer's
/// own (BOS) stand before plain texts.
class PromptEncoder {
 public:
  /// The tokenizer must outlive it.
  PromptEncoder(const Tokenizer& tokenizer, PromptFormat format);

  /// In a chat the context is the user's turn, and the continuation, without the space before it,
  /// begins the assistant's. A context too long loses its first tokens. Throws Error on a
  /// continuation that has no token of its own or is longer than the model's context, and on an
  /// empty context where the tokenizer has neither BOS nor EOS.
  EncodedContinuation encode(const Continuation& continuation) const;

  /// The prompt with its answer prefix. One that leaves no room for the new tokens loses its first
  /// tokens. Throws Error where the new tokens alone fill the model's context.
  EncodedPrompt encode(const GenerationItem& item) const;

 private:
  WrappedPrompt prompt_of(const std::string& text) const;

  const Tokenizer& tokenizer_;
  PromptFormat format_;
  PromptFitter fitter_;
};

}  // namespace longgen
