// serve/metrics/request_metrics.h: how long requests took, and how they ended.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "longgen/serve/metrics/histogram.h"

namespace longgen {

/// How a request ended: by a stop token or string, by its length, because nobody waited any more,
/// or by a fault.
enum class FinishReason { stop, length, abort, error };

/// What happened to a request, in seconds of one clock.
struct RequestTimes {
  double arrived = 0;
  std::optional<double> began = {};
  std::optional<double> first_token = {}, last_token = {};
  int64_t prompt_tokens = 0, generated_tokens = 0;
};

/// Histograms and counts under the names of vLLM, so that its dashboards and load generators read
/// them. A copy is as good as the original. Not thread-safe.
class RequestMetrics {
 public:
  RequestMetrics();

  void began(RequestTimes& times, double now);
  void drew_token(RequestTimes& times, double now);
  /// How long a request took counts only if it has its whole reply.
  void finished(const RequestTimes& times, double now, FinishReason reason);
  /// Counts a step of so many tokens. Its time is counted if it was predicted.
  void stepped(int64_t num_tokens, std::optional<double> predicted_over_measured);

  /// In the text format of Prometheus.
  std::string text(std::string_view model_name) const;

 private:
  std::array<int64_t, 4> num_finished_ = {};  // by reason
  Histogram first_token_, inter_token_, mean_token_;
  Histogram e2e_, queue_, prefill_, decode_, inference_;
  Histogram prompt_tokens_, generated_tokens_, step_tokens_, prediction_;
};

}  // namespace longgen
