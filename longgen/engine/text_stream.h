// engine/text_stream.h: from generated tokens to the text to show, and when to stop.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>

#include "longgen/engine/stop.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Push each generated token, show what comes back, end when stop_reason() says so. What push
/// and finish gave, joined, is the text of the tokens (special ones left out) up to the first
/// stop token, stop string or the last token allowed; always whole characters. The tokenizer
/// must outlive it.
class TextStream {
 public:
  /// `prompt` are tokens that stand before the generated ones: their text is not given, but a
  /// tokenizer that takes the space off the start of a text must know whether this is one. Leave it
  /// empty where a new text begins (a turn of a chat). Throws Error on bad criteria.
  TextStream(const Tokenizer& tokenizer, const StopCriteria& criteria,
             std::span<const int32_t> prompt = {});

  /// The text that became certain with this token; the rest of the text when the token ends it.
  /// After the end nothing may be pushed. An id outside the vocabulary throws Error.
  std::string push(int32_t id);

  /// Empty while tokens are wanted. Set from the start when max_tokens is 0.
  std::optional<StopReason> stop_reason() const { return reason_; }

  /// The rest of the text when the caller ends it before a stop reason (Ctrl-C, a full cache).
  std::string finish();

  /// How many tokens were pushed so far, a stop token included.
  int64_t num_tokens() const { return num_tokens_; }

 private:
  std::string show(const std::string& text);

  std::unordered_set<int32_t> stop_tokens_;
  int64_t min_tokens_, max_tokens_;
  StreamDecoder decoder_;
  StopStringFilter filter_;
  int64_t num_tokens_ = 0;
  std::optional<StopReason> reason_;
};

}  // namespace longgen
