// eval/prompt_fitter.h: prompts that are as long as a length in tokens allows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// A prompt in a chat format.
struct WrappedPrompt {
  std::string text;
  /// What the format wrote: special tokens are recognised only inside these ranges, which ascend.
  std::vector<ByteRange> written;
};

/// Puts a prompt into a chat format, up to and including what starts the assistant's turn. It must
/// keep the prompt as it is.
using PromptWrap = std::function<WrappedPrompt(const std::string& prompt)>;

/// What a model is asked, and what its reply begins with.
struct PromptText {
  std::string prompt, answer_prefix;
};

/// A number of pieces of text, and the tokens that they take.
struct PieceCount {
  int64_t pieces = 0, tokens = 0;
};

/// How long a prompt may be.
struct PromptLength {
  std::string task;           ///< begins the message of an error
  int64_t length_tokens = 0;  ///< of the prompt and the reply
  int64_t new_tokens = 0;     ///< kept for the reply
  std::string advice = "Choose a longer length.";
};

/// Writes prompts as the model reads them, and fills them up to a length.
class PromptFitter {
 public:
  /// The tokenizer must outlive the fitter. Where `wrap` is empty, prompts are plain text, before
  /// which stands what the tokenizer puts before a text (BOS); a chat format writes that itself.
  PromptFitter(const Tokenizer& tokenizer, PromptWrap wrap);

  /// Throws Error when the chat format changes the prompt; `task` begins its message.
  WrappedPrompt wrapped(const PromptText& text, const std::string& task) const;
  std::vector<int32_t> encode(const WrappedPrompt& prompt) const;

  struct Fitted {
    int64_t num_pieces = 0;
    PromptText text;
    WrappedPrompt prompt;
    std::vector<int32_t> ids;
  };

  /// Gives the prompt of the most pieces that leave room for the reply; the tokens counted are
  /// those of the prompt as the model reads it.
  ///   most     gives the most pieces that take at most so many tokens by an estimate, and the
  ///            estimate; what that is off by is measured on the whole prompt and corrected
  ///   compose  writes the prompt of so many pieces
  /// Throws Error when a prompt without pieces is too long.
  Fitted fit(const PromptLength& length, const std::function<PieceCount(int64_t max_tokens)>& most,
             const std::function<PromptText(int64_t num_pieces)>& compose) const;

 private:
  const Tokenizer& tokenizer_;
  PromptWrap wrap_;
  std::vector<int32_t> begin_ids_;  // what the tokenizer puts before a text
};

}  // namespace longgen
