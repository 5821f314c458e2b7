#include "longgen/eval/suite/prompt_encoder.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// The number of bytes at the end of a text that Python's str.rstrip() takes off.
size_t spaces_at_end(std::string_view text) {
  static constexpr std::string_view kSpaces[] = {
      " ",      "\t",     "\n",     "\r",     "\v",     "\f",     "\x1c",   "\x1d",
      "\x1e",   "\x1f",   "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
      "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
      "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  const size_t size = text.size();
  const auto ends_with_space = [&] {
    return std::find_if(std::begin(kSpaces), std::end(kSpaces),
                        [&](std::string_view space) { return text.ends_with(space); });
  };
  for (auto space = ends_with_space(); space != std::end(kSpaces); space = ends_with_space()) {
    text.remove_suffix(space->size());
  }
  return size - text.size();
}

/// The first `size` bytes.
WrappedPrompt beginning(const WrappedPrompt& prompt, size_t size) {
  WrappedPrompt part{prompt.text.substr(0, size), {}};
  for (const ByteRange& range : prompt.written) {
    if (range.begin < size) part.written.push_back({range.begin, std::min(range.end, size)});
  }
  return part;
}

/// Keeps the last `count` of the ids. Returns whether any went.
bool keep_last(std::vector<int32_t>& ids, int64_t count) {
  const auto size = static_cast<int64_t>(ids.size());
  if (size <= count) return false;
  ids.erase(ids.begin(), ids.end() - count);
  return true;
}

}  // namespace

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer, PromptFormat format)
    : tokenizer_(tokenizer), format_(std::move(format)), fitter_(tokenizer, format_.wrap) {}

WrappedPrompt PromptEncoder::prompt_of(const std::string& text) const {
  return format_.wrap ? format_.wrap(text) : WrappedPrompt{text, {}};
}

EncodedContinuation PromptEncoder::encode(const Continuation& continuation) const {
  EncodedContinuation result;
  if (continuation.context.empty() && !format_.wrap) {
    LG_CHECK(format_.empty_context,
             "[suite] an item has an empty context, and the tokenizer has neither a BOS nor an EOS "
             "token to stand for it. Give the item a context.");
    result.context = {*format_.empty_context};
    result.continuation = tokenizer_.encode(continuation.text, std::span<const ByteRange>());
  } else {
    WrappedPrompt whole = prompt_of(continuation.context);
    const size_t context_bytes = whole.text.size() - spaces_at_end(whole.text);
    const WrappedPrompt context = beginning(whole, context_bytes);
    const bool drops_space = format_.wrap && continuation.text.starts_with(' ');
    whole.text += continuation.text.substr(drops_space ? 1 : 0);
    result.context = fitter_.encode(context);
    const std::vector<int32_t> all = fitter_.encode(whole);
    const size_t begin = std::min(result.context.size(), all.size());
    result.continuation.assign(all.begin() + static_cast<ptrdiff_t>(begin), all.end());
  }
  const auto scored = static_cast<int64_t>(result.continuation.size());
  LG_CHECK(scored > 0 && !result.context.empty(), "[suite] the text \"", continuation.text,
           "\" has no token of its own after its context: a tokenizer joins them. Begin it with a "
           "space.");
  LG_CHECK(scored <= format_.context_tokens, "[suite] a continuation of ", scored,
           " tokens is longer than the model's context of ", format_.context_tokens, ".");
  // The last token is predicted, and not given.
  result.truncated = keep_last(result.context, format_.context_tokens + 1 - scored);
  return result;
}

EncodedPrompt PromptEncoder::encode(const GenerationItem& item) const {
  WrappedPrompt prompt = prompt_of(item.prompt);
  prompt.text += item.answer_prefix;
  EncodedPrompt result{fitter_.encode(prompt)};
  const int64_t room = format_.context_tokens - item.new_tokens;
  LG_CHECK(room > 0, "[suite] expected fewer new tokens than the model's context of ",
           format_.context_tokens, ", found ", item.new_tokens, ".");
  LG_CHECK(!result.ids.empty(), "[suite] its prompt has no tokens.");
  result.truncated = keep_last(result.ids, room);
  return result;
}

}  // namespace longgen
