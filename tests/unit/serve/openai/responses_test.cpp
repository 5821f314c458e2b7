// responses_test.cpp: answers, as clients read them.
#include "longgen/serve/openai/responses.h"

#include <gtest/gtest.h>

#include <limits>

#include "longgen/base/ordered_json.h"
#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/logprobs.h"
#include "longgen/serve/openai/openapi.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/openai/schema_check.h"

namespace longgen::openai {
namespace {

const AnswerHead kHead = {"id-1", 1700000000, "m"};
const Usage kUsage = {.prompt_tokens = 10, .completion_tokens = 4, .cached_tokens = 8};
constexpr const char* kUsageText =
    R"("usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,)"
    R"("prompt_tokens_details":{"cached_tokens":8}})";

std::string schema_fault(const std::string& answer, const std::string& schema) {
  static const SchemaCheck check(parse_ordered_json(openapi_json({.vocab_size = 10}), "openapi"));
  return check.fault(parse_ordered_json(answer, "answer"), schema);
}

/// "é" in two tokens after "a", then a token that nobody draws.
std::vector<PlaceLogprobs> places() {
  const TokenLogprob first_half = {2, "\xC3", -0.5}, second_half = {4, "\xA9", -1},
                     b = {3, "b", -0.25};
  const TokenLogprob never = {9, "z", -std::numeric_limits<double>::infinity()};
  std::vector<PlaceLogprobs> places(4);
  places[0] = {.token = {1, "a", 0}, .predicted = false};
  places[1] = {.token = first_half, .rank = 2, .top = {b, first_half}};
  places[2] = {.token = second_half, .top = {second_half}};
  places[3] = {.token = never, .rank = 10, .top = {b}};
  return places;
}

TEST(Answers, OfAChat) {
  const ToolCall call = {"call_1", "f", R"({"a":1})"};
  const std::vector<ChatChoice> choices = {
      {.text = "hi", .logprobs = chat_logprobs(places())},
      {.tool_calls = {call}, .finish = FinishReason::tool_calls}};
  const std::string answer = chat_completion(kHead, choices, kUsage, prompt_logprobs(places()));
  EXPECT_EQ(schema_fault(answer, "ChatCompletion"), "");
  EXPECT_EQ(chat_completion(kHead, {choices[1]}, kUsage),
            R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"m","choices":)"
            R"([{"index":0,"message":{"role":"assistant","content":null,"refusal":null,)"
            R"("tool_calls":[{"id":"call_1","type":"function","function":{"name":"f",)"
            R"("arguments":"{\"a\":1}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],)" +
                std::string(kUsageText) + "}");
  const OrderedJson json = parse_ordered_json(answer, "answer");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "hi");
  EXPECT_EQ(json["choices"][1]["index"], 1);
}

TEST(Answers, OfACompletion) {
  CompletionLogprobs logprobs;
  const std::string answer = text_completion(kHead,
                                             {{.text = "hi",
                                               .finish = FinishReason::length,
                                               .logprobs = logprobs.next(places()),
                                               .prompt_logprobs = prompt_logprobs(places())}},
                                             kUsage);
  EXPECT_EQ(schema_fault(answer, "Completion"), "");
  EXPECT_EQ(text_completion(kHead, {{.text = "x"}}, kUsage),
            R"({"id":"id-1","object":"text_completion","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":"stop"}],)" +
                std::string(kUsageText) + "}");
}

TEST(Answers, OfTheOtherRoutes) {
  const std::string models = models_list({{"m", 5, 131072}});
  EXPECT_EQ(models, R"({"object":"list","data":[{"id":"m","object":"model","created":5,)"
                    R"("owned_by":"longgen","max_model_len":131072}]})");
  EXPECT_EQ(schema_fault(models, "ModelList"), "");
  const std::string model = model_entry({"m", 5, 131072});
  EXPECT_EQ(model, R"({"id":"m","object":"model","created":5,"owned_by":"longgen",)"
                   R"("max_model_len":131072})");
  EXPECT_EQ(schema_fault(model, "Model"), "");
  EXPECT_EQ(tokenized({1, 2}, 64, std::nullopt),
            R"({"count":2,"max_model_len":64,"tokens":[1,2],"token_strs":null})");
  const std::string with_texts = tokenized({1}, 64, std::vector<std::string>{"a"});
  EXPECT_EQ(with_texts, R"({"count":1,"max_model_len":64,"tokens":[1],"token_strs":["a"]})");
  EXPECT_EQ(schema_fault(with_texts, "Tokenized"), "");
  EXPECT_EQ(tokenized({}, 64, std::nullopt),
            R"({"count":0,"max_model_len":64,"tokens":[],"token_strs":null})");
  EXPECT_EQ(detokenized("a\"b"), R"({"prompt":"a\"b"})");
  EXPECT_EQ(schema_fault(detokenized("a"), "Detokenized"), "");
}

TEST(Answers, OfErrors) {
  EXPECT_EQ(ApiError(400, "n: no.", "n", "invalid_value").json(),
            R"({"error":{"message":"n: no.","type":"invalid_request_error","param":"n",)"
            R"("code":"invalid_value"}})");
  EXPECT_EQ(ApiError(503, "It ends.").json(),
            R"({"error":{"message":"It ends.","type":"server_error","param":null,"code":null}})");
  EXPECT_EQ(schema_fault(ApiError(503, "It ends.").json(), "Error"), "");
  const ApiError missing = model_not_found("x");
  EXPECT_EQ(missing.status(), 404);
  EXPECT_EQ(missing.json(),
            R"({"error":{"message":"model: this server has no model \"x\"; see /v1/models.",)"
            R"("type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  using Kind = std::pair<int, const char*>;
  for (const auto& [status, type] :
       {Kind{401, "authentication_error"}, Kind{413, "invalid_request_error"},
        Kind{429, "rate_limit_error"}, Kind{500, "server_error"}}) {
    EXPECT_TRUE(contains(ApiError(status, "a").json(), "\"type\":\"" + std::string(type) + "\""));
  }
}

TEST(Logprobs, OfAChatHaveBytes) {
  const OrderedJson json = chat_logprobs(std::vector{places()[1]});
  EXPECT_EQ(json.dump(),
            "{\"content\":[{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[195],"
            "\"top_logprobs\":[{\"token\":\"b\",\"logprob\":-0.25,\"bytes\":[98]},"
            "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[195]}]}],\"refusal\":null}");
}

TEST(Logprobs, OfACompletionBeginWithNull) {
  CompletionLogprobs logprobs;
  EXPECT_EQ(logprobs.next(places()).dump(),
            "{\"text_offset\":[0,1,1,2],\"token_logprobs\":[null,-0.5,-1.0,-9999.0],"
            "\"tokens\":[\"a\",\"\xEF\xBF\xBD\",\"\xEF\xBF\xBD\",\"z\"],"
            "\"top_logprobs\":[null,{\"b\":-0.25,\"\xEF\xBF\xBD\":-0.5},{\"\xEF\xBF\xBD\":-1.0},"
            "{\"b\":-0.25,\"z\":-9999.0}]}");
  EXPECT_EQ(logprobs.next(std::vector{places()[0]})["text_offset"][0], 3)
      << "offsets go on through the parts of a stream";
}

TEST(Logprobs, OfAPromptAreByIdWithRanks) {
  EXPECT_EQ(prompt_logprobs(std::vector{places()[0], places()[1]}).dump(),
            "[null,{\"2\":{\"logprob\":-0.5,\"rank\":2,\"decoded_token\":\"\xEF\xBF\xBD\"},"
            "\"3\":{\"logprob\":-0.25,\"rank\":1,\"decoded_token\":\"b\"}}]");
}

std::string chunk(const std::string& choice, const std::string& after = "") {
  return R"(data: {"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m",)"
         R"("choices":[)" +
         choice + "]" + after + "}\n\n";
}

TEST(Events, OfAChat) {
  const EventWriter events(EventWriter::Route::chat, kHead, std::nullopt);
  EXPECT_EQ(events.role(1, kUsage),
            chunk(R"({"index":1,"delta":{"role":"assistant","content":""},"logprobs":null,)"
                  R"("finish_reason":null})"));
  EXPECT_EQ(events.text(0, "a\n", nullptr, kUsage),
            chunk(R"({"index":0,"delta":{"content":"a\n"},"logprobs":null,"finish_reason":null})"));
  EXPECT_EQ(events.tool_call(0, 2, {"call_1", "f", "{}"}, kUsage),
            chunk(R"({"index":0,"delta":{"tool_calls":[{"index":2,"id":"call_1","type":"function",)"
                  R"("function":{"name":"f","arguments":"{}"}}]},"logprobs":null,)"
                  R"("finish_reason":null})"));
  EXPECT_EQ(events.finish(0, FinishReason::length, kUsage),
            chunk(R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"})"));
  EXPECT_EQ(events.usage(kUsage), "");
  EXPECT_EQ(events.progress({.total_tokens = 100,
                             .cached_tokens = 64,
                             .processed_tokens = 80,
                             .seconds = 1.5,
                             .remaining_seconds = 0.25}),
            chunk("", R"(,"prompt_progress":{"total":100,"cache":64,"processed":80,)"
                      R"("time_ms":1500,"eta_ms":250})"));
}

TEST(Events, OfACompletion) {
  const EventWriter events(EventWriter::Route::completion, kHead, std::nullopt);
  EXPECT_EQ(events.text(0, "a", nullptr, kUsage),
            R"(data: {"id":"id-1","object":"text_completion","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null}]})"
            "\n\n");
  EXPECT_TRUE(contains(events.finish(0, FinishReason::stop, kUsage),
                       R"({"index":0,"text":"","logprobs":null,"finish_reason":"stop"})"));
}

TEST(Events, CountTokensWhereAsked) {
  const EventWriter at_end(EventWriter::Route::chat, kHead, StreamOptions{true, false});
  EXPECT_TRUE(contains(at_end.text(0, "a", nullptr, kUsage), R"("usage":null})"));
  EXPECT_EQ(at_end.usage(kUsage), chunk("", "," + std::string(kUsageText)));
  const EventWriter always(EventWriter::Route::chat, kHead, StreamOptions{false, true});
  EXPECT_TRUE(contains(always.text(0, "a", nullptr, kUsage), kUsageText));
  EXPECT_TRUE(contains(always.finish(0, FinishReason::stop, kUsage), kUsageText));
  EXPECT_EQ(always.usage(kUsage), "");
}

TEST(Events, NeverHoldHalfACharacter) {
  const EventWriter events(EventWriter::Route::chat, kHead, std::nullopt);
  EXPECT_ERROR(events.text(0, "\xC3", nullptr, kUsage), "internal error: is_valid_utf8(text)");
  EXPECT_EQ(sse_comment("reading 5 of 10"), ": reading 5 of 10\n\n");
  EXPECT_ERROR(sse_comment("a\nb"), "internal error");
}

}  // namespace
}  // namespace longgen::openai
