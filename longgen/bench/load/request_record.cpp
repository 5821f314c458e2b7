#include "longgen/bench/load/request_record.h"

namespace longgen {

int64_t RequestRecord::num_events() const {
  int64_t count = 0;
  for (const Arrival& arrival : arrivals) count += arrival.num_events;
  return count;
}

int64_t RequestRecord::num_tokens() const {
  if (usage.completion) return *usage.completion;
  int64_t count = 0;
  for (const Arrival& arrival : arrivals) count += arrival.num_tokens;
  return count;
}

std::optional<double> RequestRecord::first_token_seconds() const {
  if (arrivals.empty()) return std::nullopt;
  return arrivals.front().seconds - begun;
}

std::optional<double> RequestRecord::seconds_per_token() const {
  if (arrivals.size() < 2) return std::nullopt;
  const int64_t later = num_tokens() - arrivals.front().num_tokens;
  if (later < 1) return std::nullopt;
  return (arrivals.back().seconds - arrivals.front().seconds) / static_cast<double>(later);
}

}  // namespace longgen
