#include "longgen/engine/stop.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {

const char* stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::token:
      return "stop token";
    case StopReason::string:
      return "stop string";
    case StopReason::length:
      return "length";
  }
  LG_FAIL("[longgen] internal error: no such stop reason. Please report this.");
}

void StopCriteria::check() const {
  LG_CHECK(max_tokens >= 0, "[generate] max_tokens: expected a count, found ", max_tokens, ".");
  for (const int32_t id : tokens) {
    LG_CHECK(id >= 0, "[generate] stop token: expected an id of at least 0, found ", id, ".");
  }
  for (const std::string& string : strings) {
    LG_CHECK(!string.empty(), "[generate] stop string: expected text, found an empty one.");
    LG_CHECK(is_valid_utf8(string), "[generate] stop string: expected UTF-8, found \"",
             replace_invalid_utf8(string), "\".");
  }
}

StopStringFilter::Matcher::Matcher(const std::string& wanted)
    : string(wanted), fallback(wanted.size() + 1, 0) {
  size_t length = 0;
  for (size_t i = 1; i < string.size(); ++i) {
    while (length > 0 && string[length] != string[i]) length = fallback[length];
    if (string[length] == string[i]) ++length;
    fallback[i + 1] = length;
  }
}

bool StopStringFilter::Matcher::advance(char c) {
  while (num_matched > 0 && string[num_matched] != c) num_matched = fallback[num_matched];
  if (string[num_matched] == c) ++num_matched;
  return num_matched == string.size();
}

StopStringFilter::StopStringFilter(const std::vector<std::string>& strings) {
  for (const std::string& string : strings) matchers_.emplace_back(string);
}

std::string StopStringFilter::push(std::string_view text) {
  LG_DCHECK(!found_);
  size_t num_held = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t match = 0;
    num_held = 0;
    for (Matcher& matcher : matchers_) {
      if (matcher.advance(text[i])) match = std::max(match, matcher.num_matched);
      num_held = std::max(num_held, matcher.num_matched);
    }
    if (match == 0) continue;
    found_ = true;
    held_.append(text.substr(0, i + 1));
    held_.resize(held_.size() - match);
    return std::exchange(held_, {});
  }
  if (text.empty()) return "";
  held_.append(text);
  std::string released = held_.substr(0, held_.size() - num_held);
  held_.erase(0, released.size());
  return released;
}

std::string StopStringFilter::finish() { return std::exchange(held_, {}); }

}  // namespace longgen
