#include "longgen/bench/load/goal.h"

#include <charconv>
#include <cmath>

#include "longgen/base/check.h"

namespace longgen {
namespace {

double seconds_of(std::string_view text, std::string_view part) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  LG_CHECK(
      error == std::errc() && std::isfinite(value) && value > 0 && (unit == "s" || unit == "ms"),
      "--goal: \"", part, "\": expected a time such as 500ms or 2s.");
  return unit == "ms" ? value / 1000 : value;
}

bool is_at_most(std::optional<double> seconds, const std::optional<double>& limit) {
  return !limit || (seconds && *seconds <= *limit);
}

}  // namespace

Goal Goal::parse(std::string_view text) {
  Goal goal;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, comma - begin);
    begin = comma + 1;
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals);
    std::optional<double>* const limit = name == "ttft"   ? &goal.first_token
                                         : name == "tpot" ? &goal.token
                                         : name == "e2e"  ? &goal.answer
                                                          : nullptr;
    LG_CHECK(limit != nullptr && equals < part.size(), "--goal: expected ttft=, tpot= or e2e=, ",
             "each with a time, found \"", part, "\".");
    LG_CHECK(!*limit, "--goal: ", name, " stands twice.");
    *limit = seconds_of(part.substr(equals + 1), part);
  }
  return goal;
}

bool Goal::is_met_by(const RequestRecord& record) const {
  if (!record.is_whole()) return false;
  // A reply of one token has no further one that could be late.
  const std::optional<double> token = record.seconds_per_token();
  return is_at_most(record.first_token_seconds(), first_token) &&
         (!token || is_at_most(token, this->token)) &&
         is_at_most(record.ended - record.begun, answer);
}

}  // namespace longgen
