#include <gtest/gtest.h>

#include <algorithm>

#include "longgen/base/json.h"
#include "longgen/bench/load/prompt_maker.h"
#include "longgen/bench/load/request_form.h"
#include "longgen/bench/load/scenario.h"
#include "longgen/bench/load/server_info.h"
#include "longgen/bench/load/token_stream.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

TEST(TokenStreamTest, TextsOfAllRoutesCount) {
  for (const char* event :
       {R"({"choices": [{"text": "a"}]})", R"({"choices": [{"delta": {"content": "a"}}]})",
        R"({"choices": [{"delta": {"reasoning_content": "a"}}]})",
        R"({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]})"}) {
    EXPECT_TRUE(read_stream_part(event).has_text) << event;
  }
  for (const char* event : {R"({"choices": []})", R"({"choices": [{"text": ""}]})",
                            R"({"choices": [{"delta": {"role": "assistant"}}]})", "{}"}) {
    EXPECT_FALSE(read_stream_part(event).has_text) << event;
  }
  EXPECT_TRUE(read_stream_part("[DONE]").is_done);
  EXPECT_TRUE(read_stream_part(R"({"choices": [{"finish_reason": "length"}]})").is_finish);
  EXPECT_FALSE(read_stream_part(R"({"choices": [{"finish_reason": null}]})").is_finish);
}

TEST(TokenStreamTest, UsageAndErrors) {
  const StreamPart part = read_stream_part(
      R"({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3,
          "prompt_tokens_details": {"cached_tokens": 2}}})");
  EXPECT_EQ(part.usage.prompt, 7);
  EXPECT_EQ(part.usage.completion, 3);
  EXPECT_EQ(part.usage.cached, 2);
  EXPECT_FALSE(read_stream_part(R"({"usage": {"prompt_tokens": -1}})").usage.prompt);
  EXPECT_FALSE(read_stream_part(R"({"usage": null})").usage.prompt);
  EXPECT_EQ(read_stream_part(R"({"error": {"message": "no"}})").error, "no");
  EXPECT_EQ(read_stream_part(R"({"error": "no"})").error, "no");
  for (const char* event : {"", "x", "[]", "3", R"({"choices": [5]})"}) {
    EXPECT_NE(error_of([&] { read_stream_part(event); }), "") << event;
  }
}

TEST(RequestFormTest, OnlyFieldsThatTheServerKnowsAreSent) {
  RequestForm form{.model = "m"};
  EXPECT_EQ(parse_json(form.body("[1,2]", 5), ""), parse_json(R"({"model": "m", "max_tokens": 5,
      "temperature": 0, "stream": true, "ignore_eos": true, "min_tokens": 5,
      "stream_options": {"include_usage": true, "continuous_usage_stats": true},
      "prompt": [1, 2]})",
                                                              ""));
  form = {.endpoint = Endpoint::chat,
          .model = "m",
          .ignore_eos = false,
          .min_tokens = false,
          .usage = false,
          .continuous_usage = false};
  EXPECT_EQ(parse_json(form.body("\"hi\"", 5), ""), parse_json(R"({"model": "m", "max_tokens": 5,
      "temperature": 0, "stream": true, "messages": [{"role": "user", "content": "hi"}]})",
                                                               ""));
}

TEST(RequestFormTest, TheMessageOfAnErrorAnswer) {
  EXPECT_EQ(error_message(R"({"error": {"message": "too long"}})"), "too long");
  EXPECT_EQ(error_message("<html>\x1b[31mBad Gateway\n"), "<html>?[31mBad Gateway?");
  EXPECT_EQ(error_message(std::string(1000, 'x')).size(), 303u);
}

TEST(IdPromptsTest, ExactlyAsManyIdsAndSharedWhereKeysAre) {
  const IdPrompts prompts(10, 20);
  const auto ids = [&](const PlannedRequest& request) {
    return parse_json(prompts.json(request), "").get<std::vector<int64_t>>();
  };
  const std::vector<int64_t> one = ids({.prompt = {{1, 50}, {2, 30}}});
  const std::vector<int64_t> other = ids({.prompt = {{1, 50}, {3, 30}}});
  ASSERT_EQ(one.size(), 80u);
  EXPECT_TRUE(std::equal(one.begin(), one.begin() + 50, other.begin()));
  EXPECT_NE(one, other);
  EXPECT_EQ(*std::min_element(one.begin(), one.end()), 10);
  EXPECT_EQ(*std::max_element(one.begin(), one.end()), 19);
}

/// Three tokens before a text, one for each three characters of a word.
int64_t count(const std::string& text) {
  int64_t tokens = 3, length = 0;
  for (const char c : text + " ") {
    if (c != ' ') {
      ++length;
      continue;
    }
    tokens += (length + 2) / 3;
    length = 0;
  }
  return tokens;
}

TEST(WordPromptsTest, PromptsHaveTheTokensThatWereAskedFor) {
  const std::vector<PlannedRequest> requests = {
      {.prompt = {{7, 500}}}, {.prompt = {{8, 64}, {9, 100}}}, {.prompt = {{8, 64}, {10, 37}}}};
  WordPrompts prompts(frequent_words(), count, /*counts_each=*/true);
  prompts.fit(requests);
  for (const PlannedRequest& request : requests) {
    const auto text = parse_json(prompts.json(request), "").get<std::string>();
    // A word more or less is up to four tokens.
    EXPECT_NEAR(static_cast<double>(count(text)), static_cast<double>(request.prompt_tokens()), 4);
    EXPECT_EQ(prompts.json(request), prompts.json(request));
  }
  const std::string second = prompts.json(requests[1]), third = prompts.json(requests[2]);
  EXPECT_EQ(second.substr(0, 100), third.substr(0, 100)) << "the shared beginning";
}

TEST(WordPromptsTest, WordsOfATextComeInItsOrder) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "w" + std::to_string(i) + "\n ";
  const WordPrompts::Source source = words_of_text(text, "file");
  ASSERT_EQ(source.words.size(), 200u);
  EXPECT_EQ(source.words[199], "w199");
  EXPECT_EQ(error_of([] { words_of_text("too few words", "file"); }),
            "file: expected a text of at least 100 words, found 3.");
  EXPECT_EQ(error_of([&] {
              WordPrompts(
                  source, [](const auto&) { return 5; }, false);
            }),
            "the server counts 5 tokens in 50 words and 5 in 400: prompts of a length cannot be "
            "made.");
}

TEST(ServerInfoTest, CountersOfARunAreDifferences) {
  const auto before = parse_metrics(
      "# HELP x y\nvllm:prefix_cache_hits_total{model_name=\"m\"} 10\n"
      "vllm:prefix_cache_queries_total{engine=\"0\",model_name=\"m\"} 20\r\n"
      "no sample\nbad{ NaNx\nlonggen:step_predicted_over_measured_bucket{model_name=\"m\","
      "le=\"0.8\"} 1\n");
  EXPECT_EQ(before.size(), 3u);
  auto after = before;
  after["vllm:prefix_cache_hits_total"] += 30;
  after["vllm:prefix_cache_queries_total"] += 40;
  after["longgen:step_predicted_over_measured_bucket{le=\"0.8\"}"] += 2;
  after["longgen:step_predicted_over_measured_bucket{le=\"1.25\"}"] = 9;
  after["longgen:step_predicted_over_measured_count"] = 10;
  after["longgen:step_budget_seconds"] = 0.25;
  const ServerCounters counters = counters_between(before, after);
  EXPECT_EQ(counters.hit_rate, 0.75);
  EXPECT_EQ(counters.share_predicted_well, 0.7);
  EXPECT_EQ(counters.step_budget_seconds, 0.25);
  EXPECT_FALSE(counters.predicted_over_measured) << "the server has no such counter";
}

TEST(ScenarioTest, PartsByName) {
  const ScenarioOptions options = ScenarioOptions::parse("decoders:2,prompt:6K,reply:100");
  EXPECT_EQ(options.decoders, 2);
  EXPECT_EQ(options.prompt_tokens, 6144);
  EXPECT_EQ(options.reply_tokens, 100);
  EXPECT_EQ(options.steps, 64);
  const auto refusal = [](const char* text) {
    return error_of([&] { ScenarioOptions::parse(text); });
  };
  EXPECT_EQ(refusal("decoder:2"),
            "--scenario: expected decoders:N, prompt:N, context:N, steps:N, reply:N or short:N, "
            "found \"decoder:2\".");
  EXPECT_EQ(refusal("decoders:5000"), "--scenario: decoders: expected 1 to 1024, found 5000.");
  for (const char* text : {"", "decoders", "decoders:", "decoders:0", "prompt:-1", "prompt:1,"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

}  // namespace
}  // namespace longgen
