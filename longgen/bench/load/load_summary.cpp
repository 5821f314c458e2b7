#include "longgen/bench/load/load_summary.h"

namespace longgen {
namespace {

void add_gaps(const RequestRecord& record, std::vector<double>& gaps) {
  for (size_t i = 0; i < record.arrivals.size(); ++i) {
    const Arrival& arrival = record.arrivals[i];
    if (i > 0) gaps.push_back(arrival.seconds - record.arrivals[i - 1].seconds);
    // What came in the same bytes came at the same time.
    gaps.insert(gaps.end(), static_cast<size_t>(arrival.num_events - 1), 0.0);
  }
}

class Totals {
 public:
  explicit Totals(LoadSummary& summary) : summary_(summary) {}

  void add(const RequestRecord& record) {
    summary_.prompt_tokens +=
        record.usage.prompt.value_or(record.arrivals.empty() ? 0 : record.prompt_tokens);
    summary_.reply_tokens += record.num_tokens();
    summary_.num_events += record.num_events();
    for (const Arrival& arrival : record.arrivals) {
      if (arrival.num_tokens > arrival.num_events) ++summary_.num_wide_events;
    }
    if (record.usage.cached) {
      summary_.cached_tokens = summary_.cached_tokens.value_or(0) + *record.usage.cached;
    }
    late_.push_back(record.begun - record.due);
    if (record.is_whole()) return add_whole(record);
    ErrorCount& error = summary_.errors[record.error];
    if (error.count++ == 0) error.message = record.message;
  }

  void finish() {
    summary_.first_token = distribution_of(std::move(first_));
    summary_.gap = distribution_of(std::move(gaps_));
    summary_.token = distribution_of(std::move(tokens_));
    summary_.answer = distribution_of(std::move(answers_));
    summary_.late = distribution_of(std::move(late_));
  }

 private:
  void add_whole(const RequestRecord& record) {
    ++summary_.num_whole;
    if (record.num_tokens() < record.reply_tokens) ++summary_.num_short_replies;
    if (record.usage.prompt && *record.usage.prompt != record.prompt_tokens) {
      ++summary_.num_other_prompts;
    }
    if (const auto first = record.first_token_seconds()) first_.push_back(*first);
    if (const auto token = record.seconds_per_token()) tokens_.push_back(*token);
    answers_.push_back(record.ended - record.begun);
    add_gaps(record, gaps_);
  }

  LoadSummary& summary_;
  std::vector<double> first_, gaps_, tokens_, answers_, late_;
};

}  // namespace

std::vector<double> gaps_of(const std::vector<RequestRecord>& records) {
  std::vector<double> gaps;
  for (const RequestRecord& record : records) add_gaps(record, gaps);
  return gaps;
}

LoadSummary summarize(const LoadResult& result, const std::optional<Goal>& goal) {
  LoadSummary summary{.seconds = result.seconds,
                      .num_sent = std::ssize(result.records),
                      .num_unsent = result.num_unsent};
  if (result.seconds > 0) summary.busy = result.cpu_seconds / result.seconds;
  Totals totals(summary);
  for (const RequestRecord& record : result.records) totals.add(record);
  totals.finish();
  if (goal) {
    int64_t count = 0;
    for (const RequestRecord& record : result.records) count += goal->is_met_by(record) ? 1 : 0;
    summary.num_within_goal = count;
  }
  return summary;
}

}  // namespace longgen
