#include "longgen/eval/prompt_fitter.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Returns the ids that the tokenizer's post-processor puts before a text. What it puts after one
/// (EOS) has no place in a prompt that is to be continued.
std::vector<int32_t> ids_before_text(const Tokenizer& tokenizer) {
  const std::vector<int32_t> plain = tokenizer.encode("a");
  std::vector<int32_t> ids = tokenizer.encode("a", {.add_special_tokens = true});
  const auto text = std::search(ids.begin(), ids.end(), plain.begin(), plain.end());
  ids.erase(text, ids.end());
  return ids;
}

}  // namespace

PromptFitter::PromptFitter(const Tokenizer& tokenizer, PromptWrap wrap)
    : tokenizer_(tokenizer), wrap_(std::move(wrap)) {
  if (!wrap_) begin_ids_ = ids_before_text(tokenizer_);
}

WrappedPrompt PromptFitter::wrapped(const PromptText& text, const std::string& task) const {
  if (!wrap_) return {text.prompt + text.answer_prefix, {}};
  WrappedPrompt wrapped = wrap_(text.prompt);
  LG_CHECK(wrapped.text.find(text.prompt) != std::string::npos, "[", task,
           "] expected the chat format to keep the prompt as it is, found that it changes "
           "it. Use another format, or none.");
  wrapped.text += text.answer_prefix;
  return wrapped;
}

std::vector<int32_t> PromptFitter::encode(const WrappedPrompt& prompt) const {
  std::vector<int32_t> ids = tokenizer_.encode(prompt.text, prompt.written);
  ids.insert(ids.begin(), begin_ids_.begin(), begin_ids_.end());
  return ids;
}

PromptFitter::Fitted PromptFitter::fit(
    const PromptLength& length, const std::function<PieceCount(int64_t max_tokens)>& most,
    const std::function<PromptText(int64_t num_pieces)>& compose) const {
  const auto fitted = [&](int64_t num_pieces) {
    Fitted result = {num_pieces, compose(num_pieces), {}, {}};
    result.prompt = wrapped(result.text, length.task);
    result.ids = encode(result.prompt);
    return result;
  };
  Fitted best = fitted(0);
  const auto num_fixed = static_cast<int64_t>(best.ids.size());
  const int64_t room = length.length_tokens - length.new_tokens - num_fixed;
  LG_CHECK(room >= 0, "[", length.task, "] length: expected at least ",
           num_fixed + length.new_tokens, " tokens (", num_fixed,
           " of the question without a haystack, ", length.new_tokens,
           " kept for the reply), found ", length.length_tokens, ". ", length.advice);
  // The sum of the pieces' tokens is off by a few tokens. What it is off by is measured on the
  // whole text and corrected, until one piece more is known not to fit: mostly at once.
  int64_t too_many = INT64_MAX;
  for (PieceCount next = most(room); next.pieces > best.num_pieces && next.pieces < too_many;) {
    Fitted longer = fitted(next.pieces);
    const int64_t num_tokens = static_cast<int64_t>(longer.ids.size()) - num_fixed;
    if (num_tokens > room) {
      too_many = next.pieces;
    } else {
      best = std::move(longer);
    }
    next = most(room - (num_tokens - next.tokens));
  }
  return best;
}

}  // namespace longgen
