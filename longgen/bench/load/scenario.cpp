#include "longgen/bench/load/scenario.h"

#include <algorithm>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/random.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

// Behind the same long prompt stand so many new tokens.
constexpr int64_t kNewTokens = 64;
// The long prompt comes when each decoder has so many tokens.
constexpr int64_t kFirstSteps = 8;
// Of the time that a long prompt takes alone, so much has passed when the short one comes.
constexpr double kShareBeforeShort = 0.1;
// Between two measurements the server ends what was cancelled.
constexpr double kPauseSeconds = 0.5;
constexpr int64_t kMaxDecoders = 1024, kMaxTokens = int64_t{1} << 30;

class Scenario {
 public:
  Scenario(HttpClient& client, RequestRunner& runner, const ScenarioOptions& options)
      : client_(client), runner_(runner), options_(options) {}

  ScenarioResult run() {
    ScenarioResult result{.options = options_};
    first_token(fresh(options_.short_tokens), "warming up");
    result.single_tokens_per_s = decode(1).tokens_per_s;
    const Decoding together = decode(options_.decoders);
    result.together_tokens_per_s = together.tokens_per_s;
    result.undisturbed = together.gaps;
    const PlannedRequest prompt = fresh(options_.prompt_tokens);
    result.cold_seconds = first_token(prompt, "the long prompt alone");
    const size_t warm = answered(with_new_tokens(prompt), "the long prompt again");
    result.warm_seconds = *runner_.record(warm).first_token_seconds();
    result.warm_cached_tokens = runner_.record(warm).usage.cached;
    result.short_seconds = first_token(fresh(options_.short_tokens), "the short prompt alone");
    measure_behind(result);
    measure_beside(result);
    return result;
  }

 private:
  struct Decoding {
    double tokens_per_s;
    Distribution gaps;
  };
  struct Window {
    double begin, end;
  };

  PlannedRequest fresh(int64_t num_tokens, int64_t reply_tokens = 1) {
    return {.prompt = {{mix_pair(options_.seed, num_prompts_++), num_tokens}},
            .reply_tokens = reply_tokens};
  }
  PlannedRequest with_new_tokens(PlannedRequest request) {
    request.prompt.push_back({mix_pair(options_.seed, num_prompts_++), kNewTokens});
    return request;
  }

  void wait_until(const std::function<bool()>& is_done) {
    client_.run_until([&] { return is_done() || options_.stops(); });
    LG_CHECK(!options_.stops(), "stopped before the scenario was done.");
  }
  void pause() {
    bool is_over = false;
    client_.wake_at(runner_.time_of(runner_.now() + kPauseSeconds), [&] { is_over = true; });
    wait_until([&] { return is_over; });
  }

  bool has_text(size_t number) const { return !runner_.record(number).arrivals.empty(); }
  bool is_over(size_t number) const { return runner_.record(number).is_over; }

  /// Waits for a request's first token.
  void wait_for_text(size_t number, const std::string& what) {
    wait_until([&] { return has_text(number) || is_over(number); });
    const RequestRecord& record = runner_.record(number);
    LG_CHECK(has_text(number), what, ": ", record.error.empty() ? "no text came" : record.error,
             ": ", record.message);
  }
  size_t answered(const PlannedRequest& request, const std::string& what) {
    log_info(what);
    const size_t number = runner_.start(request);
    wait_for_text(number, what);
    wait_until([&] { return is_over(number); });
    return number;
  }
  double first_token(const PlannedRequest& request, const std::string& what) {
    return *runner_.record(answered(request, what)).first_token_seconds();
  }

  std::vector<size_t> start_decoders(int64_t count) {
    std::vector<size_t> decoders;
    for (int64_t i = 0; i < count; ++i) {
      decoders.push_back(runner_.start(fresh(options_.context, options_.reply_tokens)));
    }
    for (const size_t decoder : decoders) wait_for_text(decoder, "a decoder");
    return decoders;
  }
  void stop(const std::vector<size_t>& decoders) {
    for (const size_t decoder : decoders) {
      const RequestRecord& record = runner_.record(decoder);
      LG_CHECK(!record.is_over, "a decoder's reply ended before it was measured: ",
               record.error.empty() ? detail::concat("it had ", record.num_tokens(),
                                                     " tokens. Let it have more with reply:N.")
                                    : record.error + ": " + record.message);
      runner_.stop(decoder);
    }
    pause();
  }
  /// Waits until each has `count` more texts than it has now, or is over.
  void wait_for_steps(const std::vector<size_t>& decoders, int64_t count) {
    std::vector<int64_t> ends;
    for (const size_t decoder : decoders) {
      ends.push_back(runner_.record(decoder).num_events() + count);
    }
    for (size_t i = 0; i < decoders.size(); ++i) {
      wait_until([&] {
        return is_over(decoders[i]) || runner_.record(decoders[i]).num_events() >= ends[i];
      });
    }
  }

  /// Gaps of which some part lies in the window.
  std::vector<double> gaps_within(const std::vector<size_t>& decoders, Window window) const {
    std::vector<double> gaps;
    for (const size_t decoder : decoders) {
      const std::vector<Arrival>& arrivals = runner_.record(decoder).arrivals;
      for (size_t i = 1; i < arrivals.size(); ++i) {
        const double before = arrivals[i - 1].seconds, after = arrivals[i].seconds;
        if (after > window.begin && before < window.end) gaps.push_back(after - before);
      }
    }
    return gaps;
  }

  Decoding decode(int64_t count) {
    log_info(format_count(count, "decoder"));
    const std::vector<size_t> decoders = start_decoders(count);
    wait_for_steps(decoders, kFirstSteps);
    const Window window{runner_.now(), (wait_for_steps(decoders, options_.steps), runner_.now())};
    int64_t num_tokens = 0;
    for (const size_t decoder : decoders) {
      for (const Arrival& arrival : runner_.record(decoder).arrivals) {
        if (arrival.seconds > window.begin && arrival.seconds <= window.end) {
          num_tokens += arrival.num_tokens;
        }
      }
    }
    const Distribution gaps = distribution_of(gaps_within(decoders, window));
    stop(decoders);
    return {static_cast<double>(num_tokens) / (window.end - window.begin), gaps};
  }

  void measure_behind(ScenarioResult& result) {
    log_info("a short prompt behind a long one");
    const size_t long_one = runner_.start(fresh(options_.prompt_tokens));
    bool is_time = false;
    const double seconds = kShareBeforeShort * result.cold_seconds;
    client_.wake_at(runner_.time_of(runner_.now() + seconds), [&] { is_time = true; });
    wait_until([&] { return is_time; });
    LG_CHECK(!has_text(long_one) && !is_over(long_one),
             "the long prompt was read before the short one came: give a longer one.");
    const size_t short_one = runner_.start(fresh(options_.short_tokens));
    wait_for_text(short_one, "the short prompt behind a long one");
    result.behind_seconds = *runner_.record(short_one).first_token_seconds();
    runner_.stop(long_one);
    pause();
  }

  void measure_beside(ScenarioResult& result) {
    log_info("a long prompt beside " + format_count(options_.decoders, "decoder"));
    const std::vector<size_t> decoders = start_decoders(options_.decoders);
    wait_for_steps(decoders, kFirstSteps);
    const size_t prompt = runner_.start(fresh(options_.prompt_tokens));
    wait_for_text(prompt, "the long prompt beside decoders");
    const RequestRecord& record = runner_.record(prompt);
    const Window window{record.begun, record.arrivals.front().seconds};
    // The gap in which the first token came ends behind it.
    wait_for_steps(decoders, 1);
    result.beside_seconds = window.end - window.begin;
    result.disturbed = distribution_of(gaps_within(decoders, window));
    stop(decoders);
  }

  HttpClient& client_;
  RequestRunner& runner_;
  ScenarioOptions options_;
  uint64_t num_prompts_ = 0;
};

}  // namespace

ScenarioOptions ScenarioOptions::parse(std::string_view text) {
  ScenarioOptions options;
  const std::pair<const char*, int64_t*> keys[] = {
      {"decoders", &options.decoders},  {"prompt", &options.prompt_tokens},
      {"context", &options.context},    {"steps", &options.steps},
      {"reply", &options.reply_tokens}, {"short", &options.short_tokens}};
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string part(text.substr(begin, comma - begin));
    begin = comma + 1;
    const size_t colon = std::min(part.find(':'), part.size());
    const auto key = std::find_if(std::begin(keys), std::end(keys), [&](const auto& each) {
      return part.compare(0, colon, each.first) == 0;
    });
    LG_CHECK(key != std::end(keys) && colon < part.size(),
             "--scenario: expected decoders:N, prompt:N, context:N, steps:N, reply:N or short:N, "
             "found \"",
             part, "\".");
    const int64_t most = key->second == &options.decoders ? kMaxDecoders : kMaxTokens;
    const int64_t count = parse_count(part.substr(colon + 1), "--scenario: " + part);
    LG_CHECK(count >= 1 && count <= most, "--scenario: ", key->first, ": expected 1 to ", most,
             ", found ", count, ".");
    *key->second = count;
  }
  return options;
}

std::vector<PlannedRequest> ScenarioOptions::longest_requests() const {
  return {{.prompt = {{0, prompt_tokens + kNewTokens}}},
          {.prompt = {{0, context}}, .reply_tokens = reply_tokens}};
}

std::optional<double> ScenarioResult::longest_gap() const {
  if (!step_budget_seconds) return std::nullopt;
  return *step_budget_seconds + undisturbed.p50;
}

ScenarioResult run_scenario(HttpClient& client, RequestRunner& runner,
                            const ScenarioOptions& options) {
  return Scenario(client, runner, options).run();
}

}  // namespace longgen
