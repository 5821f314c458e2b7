#include "longgen/bench/load/length_mix.h"

#include <string>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

// Far above every context, and far below overflow of sums.
constexpr int64_t kMaxTokens = int64_t{1} << 30, kMaxWeight = 1'000'000;

int64_t count_of(std::string_view text, const std::string& what, int64_t most) {
  const int64_t count = parse_count(std::string(text), what);
  LG_CHECK(count >= 1 && count <= most, what, ": expected 1 to ", most, ", found \"", text, "\".");
  return count;
}

TokenRange range_of(std::string_view text, const std::string& what) {
  const size_t dash = text.find('-');
  const int64_t low = count_of(text.substr(0, dash), what, kMaxTokens);
  const int64_t high =
      dash == std::string_view::npos ? low : count_of(text.substr(dash + 1), what, kMaxTokens);
  LG_CHECK(low <= high, what, ": expected LOW-HIGH, found \"", text, "\".");
  return {low, high};
}

int64_t draw_of(const TokenRange& range, RandomStream& random) {
  return range.low +
         static_cast<int64_t>(random.below(static_cast<uint64_t>(range.high - range.low + 1)));
}

}  // namespace

LengthMix::Kind LengthMix::parse_kind(std::string_view text) {
  const std::string what = detail::concat("--lengths: \"", text, "\"");
  const size_t colon = text.find(':'), at = text.find('@');
  LG_CHECK(colon != std::string_view::npos && (at == std::string_view::npos || colon < at), what,
           ": expected PROMPT:REPLY or PROMPT:REPLY@WEIGHT, such as 2K:128@3.");
  const std::string_view reply =
      text.substr(colon + 1, at == std::string_view::npos ? at : at - colon - 1);
  const bool has_weight = at != std::string_view::npos;
  return {range_of(text.substr(0, colon), what), range_of(reply, what),
          has_weight ? count_of(text.substr(at + 1), what, kMaxWeight) : 1};
}

LengthMix LengthMix::parse(std::string_view text) {
  LengthMix mix;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    mix.kinds_.push_back(parse_kind(text.substr(begin, comma - begin)));
    mix.total_weight_ += mix.kinds_.back().weight;
    begin = comma + 1;
  }
  return mix;
}

RequestLengths LengthMix::draw(RandomStream& random) const {
  auto place = static_cast<int64_t>(random.below(static_cast<uint64_t>(total_weight_)));
  size_t kind = 0;
  while (place >= kinds_[kind].weight) place -= kinds_[kind++].weight;
  const int64_t prompt_tokens = draw_of(kinds_[kind].prompt, random);
  return {prompt_tokens, draw_of(kinds_[kind].reply, random)};
}

}  // namespace longgen
