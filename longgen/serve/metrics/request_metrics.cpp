#include "longgen/serve/metrics/request_metrics.h"

#include "longgen/serve/metrics/metrics_text.h"

namespace longgen {
namespace {

// The bounds of vLLM, which its dashboards draw.
constexpr double kFirstToken[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                  1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
constexpr double kInterToken[] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                                  0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80};
constexpr double kRequest[] = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                               30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
constexpr double kTokens[] = {1,    2,    5,     10,    20,    50,     100,    200,    500, 1000,
                              2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1e6, 2e6};
// Of predicted over measured time.
constexpr double kRatios[] = {0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.5, 2, 4};

constexpr const char* kReasons[] = {"stop", "length", "abort", "error"};

}  // namespace

RequestMetrics::RequestMetrics()
    : first_token_(kFirstToken),
      inter_token_(kInterToken),
      mean_token_(kInterToken),
      e2e_(kRequest),
      queue_(kRequest),
      prefill_(kRequest),
      decode_(kRequest),
      inference_(kRequest),
      prompt_tokens_(kTokens),
      generated_tokens_(kTokens),
      step_tokens_(kTokens),
      prediction_(kRatios) {}

void RequestMetrics::began(RequestTimes& times, double now) {
  times.began = now;
  queue_.add(now - times.arrived);
}

void RequestMetrics::drew_token(RequestTimes& times, double now) {
  if (times.last_token) {
    inter_token_.add(now - *times.last_token);
  } else {
    times.first_token = now;
    first_token_.add(now - times.arrived);
  }
  times.last_token = now;
  ++times.generated_tokens;
}

void RequestMetrics::finished(const RequestTimes& times, double now, FinishReason reason) {
  ++num_finished_[static_cast<size_t>(reason)];
  const bool is_whole = reason == FinishReason::stop || reason == FinishReason::length;
  if (!is_whole || !times.began || !times.first_token) return;
  e2e_.add(now - times.arrived);
  prefill_.add(*times.first_token - *times.began);
  decode_.add(*times.last_token - *times.first_token);
  inference_.add(*times.last_token - *times.began);
  prompt_tokens_.add(static_cast<double>(times.prompt_tokens));
  generated_tokens_.add(static_cast<double>(times.generated_tokens));
  if (times.generated_tokens < 2) return;
  mean_token_.add((*times.last_token - *times.first_token) /
                  static_cast<double>(times.generated_tokens - 1));
}

void RequestMetrics::stepped(int64_t num_tokens, std::optional<double> predicted_over_measured) {
  step_tokens_.add(static_cast<double>(num_tokens));
  if (predicted_over_measured) prediction_.add(*predicted_over_measured);
}

std::string RequestMetrics::text(std::string_view model_name) const {
  MetricsText text(model_name);
  for (size_t reason = 0; reason < num_finished_.size(); ++reason) {
    text.counter("vllm:request_success_total", "Requests that have ended, by how they did.",
                 static_cast<double>(num_finished_[reason]),
                 MetricsText::Label{"finished_reason", kReasons[reason]});
  }
  text.histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.",
                 first_token_);
  text.histogram("vllm:inter_token_latency_seconds", "From one token of a reply to the next.",
                 inter_token_);
  text.histogram("vllm:request_time_per_output_token_seconds",
                 "The mean of a reply's times from token to token.", mean_token_);
  text.histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.", e2e_);
  text.histogram("vllm:request_queue_time_seconds", "From arrival to the first step.", queue_);
  text.histogram("vllm:request_prefill_time_seconds", "From the first step to the first token.",
                 prefill_);
  text.histogram("vllm:request_decode_time_seconds", "From the first token to the last.", decode_);
  text.histogram("vllm:request_inference_time_seconds", "From the first step to the last token.",
                 inference_);
  text.histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", prompt_tokens_);
  text.histogram("vllm:request_generation_tokens", "Tokens of a reply.", generated_tokens_);
  text.histogram("vllm:iteration_tokens_total", "Tokens of a step.", step_tokens_);
  text.histogram("longgen:step_predicted_over_measured",
                 "The predicted time of a step over the measured one.", prediction_);
  return text.text();
}

}  // namespace longgen
