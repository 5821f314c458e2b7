#include "longgen/engine/text_stream.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

const StopCriteria& checked(const StopCriteria& criteria) {
  criteria.check();
  return criteria;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, const StopCriteria& criteria,
                       std::span<const int32_t> prompt)
    : stop_tokens_(checked(criteria).tokens.begin(), criteria.tokens.end()),
      min_tokens_(criteria.min_tokens),
      max_tokens_(criteria.max_tokens),
      decoder_(tokenizer),
      filter_(criteria.strings) {
  for (const int32_t id : prompt) decoder_.push(id);
  if (max_tokens_ == 0) reason_ = StopReason::length;
}

/// Passes text through the stop strings.
std::string TextStream::show(const std::string& text) {
  if (filter_.found()) return "";
  if (num_tokens_ <= min_tokens_) return text;
  std::string shown = filter_.push(text);
  if (filter_.found()) reason_ = StopReason::string;
  return shown;
}

std::string TextStream::push(int32_t id) {
  LG_CHECK(!reason_, "[generate] the text has ended (", stop_reason_name(*reason_),
           "), no token may follow, found ", id, ".");
  ++num_tokens_;
  if (stop_tokens_.contains(id)) {
    std::string rest = finish();
    if (!reason_) reason_ = StopReason::token;
    return rest;
  }
  std::string text = show(decoder_.push(id));
  if (!reason_ && num_tokens_ == max_tokens_) {
    text += finish();
    if (!reason_) reason_ = StopReason::length;
  }
  return text;
}

std::string TextStream::finish() {
  std::string rest = show(decoder_.finish());
  return rest + filter_.finish();
}

}  // namespace longgen
