#include "longgen/serve/metrics/request_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

namespace longgen {
namespace {

/// The value of each sample, by name and labels.
std::map<std::string, double> samples(const RequestMetrics& metrics) {
  std::map<std::string, double> all;
  std::istringstream lines(metrics.text("m"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(all.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second)
        << line;
  }
  return all;
}

TEST(RequestMetricsTest, TimesAreThoseBetweenWhatHappened) {
  RequestMetrics metrics;
  RequestTimes times = {.arrived = 10, .prompt_tokens = 300};
  metrics.began(times, 12);
  metrics.drew_token(times, 15);
  metrics.drew_token(times, 15.5);
  metrics.drew_token(times, 17);
  metrics.finished(times, 18, FinishReason::stop);
  metrics.stepped(64, 1.5);
  metrics.stepped(3, std::nullopt);
  const std::map<std::string, double> all = samples(metrics);
  const auto sum = [&](const std::string& name) {
    return all.at("vllm:" + name + "_sum{model_name=\"m\"}");
  };
  EXPECT_EQ(sum("time_to_first_token_seconds"), 5);
  EXPECT_EQ(sum("inter_token_latency_seconds"), 2);
  EXPECT_EQ(sum("request_time_per_output_token_seconds"), 1);
  EXPECT_EQ(sum("e2e_request_latency_seconds"), 8);
  EXPECT_EQ(sum("request_queue_time_seconds"), 2);
  EXPECT_EQ(sum("request_prefill_time_seconds"), 3);
  EXPECT_EQ(sum("request_decode_time_seconds"), 2);
  EXPECT_EQ(sum("request_inference_time_seconds"), 5);
  EXPECT_EQ(sum("request_prompt_tokens"), 300);
  EXPECT_EQ(sum("request_generation_tokens"), 3);
  EXPECT_EQ(sum("iteration_tokens_total"), 67);
  EXPECT_EQ(all.at("longgen:step_predicted_over_measured_count{model_name=\"m\"}"), 1);
  EXPECT_EQ(all.at("vllm:inter_token_latency_seconds_bucket{model_name=\"m\",le=\"0.5\"}"), 1);
}

TEST(RequestMetricsTest, OnlyWholeRepliesCountAsTimes) {
  RequestMetrics metrics;
  RequestTimes times = {.arrived = 1};
  metrics.finished(times, 2, FinishReason::abort);  // never began
  metrics.began(times, 3);
  metrics.drew_token(times, 4);
  metrics.finished(times, 5, FinishReason::error);
  metrics.finished(times, 5, FinishReason::length);  // one token: no time between tokens
  const std::map<std::string, double> all = samples(metrics);
  const auto ended = [&](const std::string& reason) {
    return all.at("vllm:request_success_total{model_name=\"m\",finished_reason=\"" + reason +
                  "\"}");
  };
  EXPECT_EQ(ended("stop"), 0);
  EXPECT_EQ(ended("length"), 1);
  EXPECT_EQ(ended("abort"), 1);
  EXPECT_EQ(ended("error"), 1);
  EXPECT_EQ(all.at("vllm:e2e_request_latency_seconds_count{model_name=\"m\"}"), 1);
  EXPECT_EQ(all.at("vllm:request_time_per_output_token_seconds_count{model_name=\"m\"}"), 0);
}

}  // namespace
}  // namespace longgen
