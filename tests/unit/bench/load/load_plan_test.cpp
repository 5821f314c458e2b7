#include "longgen/bench/load/load_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

std::vector<double> due_times(const std::vector<PlannedRequest>& requests) {
  std::vector<double> times;
  for (const PlannedRequest& request : requests) times.push_back(request.due_seconds);
  return times;
}

TEST(LengthMixTest, KindsComeAsOftenAsTheirWeights) {
  const LengthMix mix = LengthMix::parse("2K:128@3,100-200:1-4");
  RandomStream random(1);
  int num_long = 0;
  for (int i = 0; i < 4000; ++i) {
    const RequestLengths lengths = mix.draw(random);
    if (lengths.prompt_tokens == 2048) {
      EXPECT_EQ(lengths.reply_tokens, 128);
      ++num_long;
    } else {
      EXPECT_TRUE(lengths.prompt_tokens >= 100 && lengths.prompt_tokens <= 200);
      EXPECT_TRUE(lengths.reply_tokens >= 1 && lengths.reply_tokens <= 4);
    }
  }
  // Five standard deviations of 4,000 draws of 3 in 4.
  EXPECT_NEAR(num_long, 3000, 5 * std::sqrt(4000 * 0.75 * 0.25));
}

TEST(LengthMixTest, WhatIsNoMixIsRefused) {
  const auto refusal = [](const char* text) { return error_of([&] { LengthMix::parse(text); }); };
  EXPECT_EQ(refusal("2K"),
            "--lengths: \"2K\": expected PROMPT:REPLY or PROMPT:REPLY@WEIGHT, such as 2K:128@3.");
  EXPECT_EQ(refusal("8:1,9-3:1"), "--lengths: \"9-3:1\": expected LOW-HIGH, found \"9-3\".");
  EXPECT_EQ(refusal("0:1"), "--lengths: \"0:1\": expected 1 to 1073741824, found \"0\".");
  for (const char* text : {"", "1:", ":1", "1:1,", "1:1@", "1:1@0", "1@2:3", "1-2-3:4", "9G:1"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

TEST(LoadPlanTest, ArrivalsAreAPoissonProcessOfTheSeed) {
  const LengthMix mix = LengthMix::parse("8:1");
  const LoadPlanOptions options{.num_requests = 10'001, .rate = 50, .seed = 7};
  const std::vector<double> times = due_times(plan_load(mix, options));
  EXPECT_EQ(times, due_times(plan_load(mix, options)));
  EXPECT_EQ(times[0], 0);
  // Times between them are exponential: the mean is 1 / rate, and so is the deviation.
  EXPECT_NEAR(times.back() / 10'000, 0.02, 5 * 0.02 / 100);
  int num_longer = 0;
  for (size_t i = 1; i < times.size(); ++i) {
    EXPECT_GE(times[i], times[i - 1]);
    if (times[i] - times[i - 1] > 0.02) ++num_longer;
  }
  const double share = std::exp(-1);
  EXPECT_NEAR(num_longer, 10'000 * share, 5 * std::sqrt(10'000 * share * (1 - share)));
  LoadPlanOptions other = options;
  other.seed = 8;
  EXPECT_NE(times, due_times(plan_load(mix, other)));
}

TEST(LoadPlanTest, WithoutARateAllAreDueAtOnce) {
  const auto requests = plan_load(LengthMix::parse("8:1"), {.num_requests = 3});
  EXPECT_EQ(due_times(requests), std::vector<double>(3, 0.0));
  EXPECT_NE(requests[0].prompt[0].key, requests[1].prompt[0].key);
}

TEST(LoadPlanTest, GroupsShareTheBeginningOfTheirPrompts) {
  const auto requests = plan_load(
      LengthMix::parse("8:1"), {.num_requests = 5, .shared_prefix_tokens = 100, .num_groups = 2});
  for (const PlannedRequest& request : requests) {
    ASSERT_EQ(request.prompt.size(), 2u);
    EXPECT_EQ(request.prompt_tokens(), 108);
  }
  EXPECT_EQ(requests[0].prompt[0].key, requests[2].prompt[0].key);
  EXPECT_NE(requests[0].prompt[0].key, requests[1].prompt[0].key);
  EXPECT_NE(requests[0].prompt[1].key, requests[2].prompt[1].key);
}

std::string trace_refusal(const std::string& text) {
  return error_of([&] { parse_trace(text, "trace", {}); });
}

TEST(TraceTest, SameHashesAreSameTokens) {
  const auto requests = parse_trace(
      "{\"timestamp\": 1000, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [3, 9]}\n"
      "\n"
      "{\"timestamp\": 3000, \"input_length\": 1024, \"output_length\": 6, \"hash_ids\": [3, 8]}\r\n"
      "{\"timestamp\": 3500, \"input_length\": 7, \"output_length\": 1}",
      "trace", {.speed = 2});
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(due_times(requests), (std::vector<double>{0, 1, 1.25}));
  EXPECT_EQ(requests[0].prompt_tokens(), 600);
  EXPECT_EQ(requests[0].prompt[1].num_tokens, 88);
  EXPECT_EQ(requests[0].prompt[0].key, requests[1].prompt[0].key);
  EXPECT_NE(requests[0].prompt[1].key, requests[1].prompt[1].key);
  EXPECT_EQ(requests[2].prompt_tokens(), 7);
  EXPECT_EQ(requests[1].reply_tokens, 6);
}

TEST(TraceTest, TheFirstOnesAreRead) {
  const std::string line = "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1}\n";
  EXPECT_EQ(parse_trace(line + line + "no JSON", "trace", {.max_requests = 2}).size(), 2u);
}

TEST(TraceTest, WhatATraceSaysOtherwiseIsRefusedByItsLine) {
  const std::string good = "{\"timestamp\": 5, \"input_length\": 1, \"output_length\": 1}\n";
  EXPECT_EQ(trace_refusal(""), "trace: expected a line of JSON for each request, found none.");
  EXPECT_EQ(trace_refusal("{\"timestamp\": 5, \"input_length\": 1, \"output_length\": 1, "
                          "\"type\": \"chat\"}"),
            "trace:1: unknown key \"type\"; a line has timestamp, input_length, output_length and "
            "hash_ids.");
  EXPECT_EQ(trace_refusal(good + "{\"timestamp\": 4, \"input_length\": 1, \"output_length\": 1}"),
            "trace:2: field timestamp: expected at least the 5 of the request before it, found 4.");
  EXPECT_EQ(
      trace_refusal("{\"timestamp\": 5, \"input_length\": 513, \"output_length\": 1, "
                    "\"hash_ids\": [1]}"),
      "trace:1: field hash_ids: expected 2 numbers, one for each 512 of 513 tokens, found 1.");
  for (const char* line :
       {"[]", "5", "null", "{", "{}", "{\"timestamp\": \"now\"}",
        "{\"timestamp\": -1, \"input_length\": 1, \"output_length\": 1}",
        "{\"timestamp\": 1e300, \"input_length\": 1, \"output_length\": 1}",
        "{\"timestamp\": 0, \"input_length\": 1.5, \"output_length\": 1}",
        "{\"timestamp\": 0, \"input_length\": 99999999999, \"output_length\": 1}",
        "{\"timestamp\": 0, \"input_length\": 0, \"output_length\": 1}",
        "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 0}",
        "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [-1]}",
        "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": \"1\"}",
        "{\"timestamp\": 0, \"timestamp\": 0, \"input_length\": 1, \"output_length\": 1}"}) {
    EXPECT_TRUE(trace_refusal(line).starts_with("trace:1")) << line << ": " << trace_refusal(line);
  }
  EXPECT_NE(trace_refusal(std::string(100'000, '[')), "");
}

}  // namespace
}  // namespace longgen
