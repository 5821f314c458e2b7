#include "longgen/serve/request_planner.h"

#include <gtest/gtest.h>

#include "longgen/serve/openai/api_error.h"
#include "tests/unit/serve/small_model.h"

namespace longgen {
namespace {

class RequestPlannerTest : public ::testing::Test {
 protected:
  /// A chat of one message, with further fields: "\"n\": 2".
  AnswerPlan chat(const std::string& fields = "", const std::string& content = "hi") {
    return planner_.chat(R"({"messages": [{"role": "user", "content": ")" + content + "\"}]" +
                             (fields.empty() ? "" : ", " + fields) + "}",
                         "");
  }
  AnswerPlan completion(const std::string& fields, const std::string& key = "") {
    return planner_.completion("{" + fields + "}", key);
  }
  template <typename Action>
  static std::string refusal(const Action& action, int status = 400) {
    try {
      action();
    } catch (const openai::ApiError& error) {
      EXPECT_EQ(error.status(), status);
      return error.code() + " | " + error.what();
    }
    return "";
  }
  std::string chat_refusal(const std::string& fields, const std::string& content = "hi") {
    return refusal([&] { chat(fields, content); });
  }
  std::string completion_refusal(const std::string& fields) {
    return refusal([&] { completion(fields); });
  }

  ServedModel model_ = small_model();
  int64_t most_tokens_ = 1000;  // that fit
  RequestPlanner planner_{
      model_, [this](const Request& request) { return request.end_tokens() <= most_tokens_; }};
};

TEST_F(RequestPlannerTest, AChatIsRenderedAndHasTheRestOfTheContext) {
  const AnswerPlan plan = chat();
  ASSERT_EQ(plan.num_choices(), 1);
  EXPECT_EQ(plan.prompts[0].tokens, byte_ids("hi"));
  EXPECT_EQ(plan.max_tokens, 62);
  EXPECT_EQ(plan.draw.stop_tokens, std::vector<int32_t>{kEnd});
  EXPECT_TRUE(plan.head.id.starts_with("chatcmpl-"));
  EXPECT_EQ(plan.head.model, "small");
  EXPECT_EQ(chat("\"max_tokens\": 5").max_tokens, 5);
  EXPECT_NE(chat().head.id, plan.head.id);
  EXPECT_NE(chat().draw.sampling.seed, plan.draw.sampling.seed) << "nobody chose one";
}

TEST_F(RequestPlannerTest, WhereNoLimitIsGivenTheCacheMayGiveASmallerOne) {
  most_tokens_ = 20;  // of 2 + 19 the last one is not in the cache
  EXPECT_EQ(chat().max_tokens, 19);
  EXPECT_EQ(chat_refusal("\"max_tokens\": 20"),
            "kv_cache_exceeded | messages: the pages of 2 tokens in messages and 20 in the "
            "completion are more than the KV cache of this server has. Shorten one of them, or "
            "start the server with a larger --max-kv.");
  most_tokens_ = 1;
  EXPECT_TRUE(chat_refusal("").starts_with("kv_cache_exceeded"));
}

TEST_F(RequestPlannerTest, TheServerMayBoundChatsThatNameNoLimit) {
  model_.default_max_tokens = 10;
  EXPECT_EQ(chat().max_tokens, 10);
  EXPECT_EQ(chat("\"max_tokens\": 20").max_tokens, 20);
  most_tokens_ = 8;  // of 2 + 7 the last one is not in the cache
  EXPECT_EQ(chat().max_tokens, 7) << "there is no room for ten";
}

TEST_F(RequestPlannerTest, WhatIsLongerThanTheContextIsRefusedWithNumbers) {
  EXPECT_EQ(chat("\"max_tokens\": 62").max_tokens, 62);
  EXPECT_EQ(chat_refusal("\"max_tokens\": 63"),
            "context_length_exceeded | messages: this model's maximum context length is 64 tokens; "
            "the request asks for 65: 2 in messages and 63 in the completion. Shorten one of "
            "them.");
  EXPECT_TRUE(chat_refusal("", std::string(64, 'x')).starts_with("context_length_exceeded"));
  EXPECT_TRUE(chat_refusal("\"max_tokens\": 2147483647").starts_with("context_length_exceeded"));
  const std::string long_prompt = "\"prompt\": \"" + std::string(64, 'x') + "\"";
  EXPECT_EQ(completion(long_prompt + ", \"max_tokens\": 0").max_tokens, 0);
  EXPECT_TRUE(completion_refusal(long_prompt + ", \"max_tokens\": 1")
                  .starts_with("context_length_exceeded | prompt: "));
}

TEST_F(RequestPlannerTest, WhatIsTooLongIsNotDividedIntoTokens) {
  model_.max_text_bytes = 10;
  const std::string words =
      ": this model's maximum context length is 64 tokens, which hold at most 10 bytes of text, "
      "found 11.";
  EXPECT_EQ(chat_refusal("", "01234567890"), "context_length_exceeded | messages" + words);
  EXPECT_EQ(completion_refusal(R"("prompt": ["a", "01234567890"])"),
            "context_length_exceeded | prompt[1]" + words);
  EXPECT_EQ(chat("", "0123456789").prompts[0].tokens.size(), 10u);
}

TEST_F(RequestPlannerTest, LogProbabilitiesOfPromptsHaveABound) {
  model_.context = most_tokens_ = 200000;
  const std::string prompt = "\"prompt\": \"" + std::string(130000, 'x') + "\"";
  const std::string most = prompt + ", \"echo\": true, \"logprobs\": 20, \"max_tokens\": 1";
  EXPECT_EQ(completion(most).num_choices(), 1);
  EXPECT_EQ(completion_refusal(most + ", \"n\": 2"),
            "invalid_value | logprobs: expected at most 2752512 log probabilities of the prompts "
            "of all choices, found 5460000. Ask for fewer choices or best tokens.");
  EXPECT_TRUE(completion_refusal(prompt + ", \"n\": 22, \"prompt_logprobs\": 0")
                  .starts_with("invalid_value | prompt_logprobs: expected at most"));
}

TEST_F(RequestPlannerTest, FieldsBecomeWhatTheEngineIsAsked) {
  const AnswerPlan plan =
      chat(R"("n": 3, "seed": 7, "temperature": 0.5, "top_k": -1, "stop": "END", "min_tokens": 2,
           "stop_token_ids": [5], "priority": -4, "logprobs": true, "top_logprobs": 3,
           "frequency_penalty": 0.5, "presence_penalty": -1, "logit_bias": {"9": 100},
           "max_tokens": 8)");
  EXPECT_EQ(plan.num_choices(), 3);
  const Submit first = plan.submit(0, 10), second = plan.submit(1, 11);
  EXPECT_EQ(first.request.id, 10);
  EXPECT_EQ(first.request.prompt, byte_ids("hi"));
  EXPECT_EQ(first.request.max_new_tokens, 8);
  EXPECT_EQ(first.request.priority, -4);
  EXPECT_TRUE(first.request.reads_prefixes);
  EXPECT_EQ(first.draw.sampling.seed, 7u);
  EXPECT_NE(second.draw.sampling.seed, 7u);
  EXPECT_EQ(second.request.prompt, first.request.prompt);
  EXPECT_EQ(first.draw.sampling.top_k, 0);
  EXPECT_EQ(first.draw.sampling.frequency_penalty, 0.5);
  EXPECT_EQ(first.draw.sampling.presence_penalty, -1);
  ASSERT_EQ(first.draw.sampling.logit_bias.size(), 1u);
  EXPECT_EQ(first.draw.sampling.logit_bias[0].token, 9);
  EXPECT_EQ(first.draw.stop_tokens, (std::vector<int32_t>{5, kEnd}));
  EXPECT_EQ(first.draw.min_tokens, 2);
  EXPECT_EQ(first.draw.num_logprobs, 3);
  EXPECT_EQ(first.draw.num_prompt_logprobs, std::nullopt);
  EXPECT_EQ(chat("\"ignore_eos\": true").draw.stop_tokens, std::vector<int32_t>{});
}

TEST_F(RequestPlannerTest, PromptsOfABatchDoNotChangeEachOthersDraws) {
  const AnswerPlan plan = completion(R"("prompt": ["a", "b"], "n": 2, "seed": 3)");
  ASSERT_EQ(plan.num_choices(), 4);
  EXPECT_EQ(plan.submit(2, 1).request.prompt, byte_ids("b"));
  EXPECT_EQ(plan.submit(2, 1).draw.sampling.seed, plan.submit(0, 1).draw.sampling.seed);
  EXPECT_EQ(plan.submit(3, 1).draw.sampling.seed, plan.submit(1, 1).draw.sampling.seed);
}

TEST_F(RequestPlannerTest, ProbabilitiesOfThePromptDoNotReadPrefixes) {
  const AnswerPlan echo =
      completion(R"("prompt": "ab", "echo": true, "logprobs": 2, "max_tokens": 0, "n": 2)");
  for (const int64_t choice : {0, 1}) {
    const Submit submit = echo.submit(choice, 1);
    EXPECT_EQ(submit.draw.num_prompt_logprobs, 2);
    EXPECT_FALSE(submit.request.reads_prefixes);
    EXPECT_EQ(submit.request.max_new_tokens, 1) << "what is drawn is thrown away";
  }
  EXPECT_EQ(echo.prompts[0].echo, "ab");
  const AnswerPlan of_chat = chat("\"n\": 2, \"prompt_logprobs\": 0");
  EXPECT_EQ(of_chat.submit(0, 1).draw.num_prompt_logprobs, 0);
  EXPECT_EQ(of_chat.submit(1, 1).draw.num_prompt_logprobs, std::nullopt) << "a chat has them once";
}

TEST_F(RequestPlannerTest, PrefixesAreSharedByKeyOrBySalt) {
  const auto salt = [&](const std::string& fields, const std::string& key) {
    return completion(R"("prompt": "a")" + fields, key).salt;
  };
  EXPECT_EQ(salt("", "anna"), salt("", "anna"));
  EXPECT_NE(salt("", "anna"), salt("", "bert"));
  EXPECT_EQ(salt(R"(, "cache_salt": "x")", "anna"), salt(R"(, "cache_salt": "x")", "bert"));
  EXPECT_NE(salt(R"(, "cache_salt": "anna")", "bert"), salt("", "anna")) << "a key is no salt";
}

TEST_F(RequestPlannerTest, SpecialTokensOfAClientAreText) {
  const AnswerPlan plan = chat("", "<|end|>");
  EXPECT_EQ(plan.prompts[0].tokens, byte_ids("<|end|>"));
  EXPECT_EQ(completion(R"("prompt": "<|end|>")").prompts[0].tokens, byte_ids("<|end|>"));
  EXPECT_EQ(completion(R"("prompt": [300, 97], "echo": true)").prompts[0].echo, "a");
}

TEST_F(RequestPlannerTest, WhatThisModelOrServerCannotDoIsRefused) {
  EXPECT_EQ(refusal([&] { chat("\"model\": \"other\""); }, 404),
            "model_not_found | model: this server has no model \"other\"; see /v1/models.");
  EXPECT_EQ(chat_refusal("", "raise"),
            "invalid_value | messages: the model's chat template does not take them. "
            "chat_template.jinja:3: no such chat");
  const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f"}}])";
  EXPECT_EQ(chat(tools).tools->functions, std::vector<std::string>{"f"});
  EXPECT_FALSE(chat(tools + R"(, "tool_choice": "none")").tools);
  model_.tool_format.reset();
  EXPECT_TRUE(chat_refusal(tools).starts_with("unsupported_parameter | tools: "));
  model_.chat_template.reset();
  EXPECT_TRUE(contains(chat_refusal(""), "messages: this model has no chat template"));
  EXPECT_EQ(completion_refusal(R"("prompt": "")"),
            "invalid_value | prompt: expected at least one token, found none.");
  model_.vocab_size = 100;
  EXPECT_EQ(completion_refusal(R"("prompt": ["a", "z"])"),
            "invalid_value | prompt[1]: the tokenizer makes token 122 of it, which the model's "
            "weights do not have: they have 0 to 99.");
}

TEST_F(RequestPlannerTest, WithoutATokenizerPromptsAreIds) {
  model_.reads_texts = false;
  EXPECT_EQ(completion("\"prompt\": [5, 6]").prompts[0].tokens, (std::vector<int32_t>{5, 6}));
  const std::string expected =
      "invalid_value | prompt: this server has a model with random weights and no tokenizer: "
      "expected a list of token ids, found a text.";
  EXPECT_EQ(completion_refusal("\"prompt\": \"hi\""), expected);
  EXPECT_EQ(refusal([&] { planner_.tokenize("{\"prompt\": \"hi\"}"); }), expected);
  EXPECT_TRUE(
      contains(completion_refusal(R"("prompt": [5], "response_format": {"type": "json_object"})"),
               "response_format: this server has a model with random weights and no tokenizer"));
}

TEST_F(RequestPlannerTest, TheFormOfAnAnswerIsAGrammar) {
  EXPECT_EQ(chat().grammar, "");
  EXPECT_TRUE(
      chat(R"("response_format": {"type": "json_object"})").grammar.ends_with("root ::= object\n"));
  const std::string schema =
      R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )";
  EXPECT_TRUE(contains(completion(R"("prompt": "a", )" + schema + R"({"const": 5}}})").grammar,
                       "::= \"5\"\n"));
  EXPECT_EQ(
      chat_refusal(schema + R"({"properties": {"a": {"not": {}}}}}})"),
      "invalid_value | response_format.json_schema.schema.properties.a.not: this keyword is not "
      "supported here: a reply would not be held to it.");
  EXPECT_TRUE(contains(chat_refusal(schema + "{\"title\": \"" + std::string(70000, 'a') + "\"}}}"),
                       "schema: expected a schema of at most 65536 bytes, found 700"));
  const std::string object = R"("response_format": {"type": "json_object"}, )";
  EXPECT_TRUE(contains(chat_refusal(object + R"("min_tokens": 1)"), "min_tokens: expected 0"));
  EXPECT_TRUE(
      contains(chat_refusal(object + R"("ignore_eos": true)"), "ignore_eos: expected false"));
  EXPECT_TRUE(contains(chat_refusal(object + R"("stop_token_ids": [300, 65])"),
                       "stop_token_ids[1]: expected a special token"));
  model_.chat_stops.clear();
  EXPECT_TRUE(
      contains(chat_refusal(object + R"("n": 1)"), "this model has no token that ends an answer"));
  EXPECT_EQ(chat(object + R"("stop_token_ids": [300])").draw.stop_tokens,
            std::vector<int32_t>{300});
}

TEST_F(RequestPlannerTest, CallsThatAreDemandedAreAGrammar) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function",
      "function": {"name": "g", "parameters": {"properties": {"a": {"type": "integer"}}}}}], "tool_choice": )";
  EXPECT_EQ(chat(tools + R"("auto")").grammar, "");
  const std::string any = chat(tools + R"("required")").grammar;
  EXPECT_TRUE(contains(
      any, R"("<tool_call>\u000a{\"name\": \"f\", \"arguments\": " "{}" "}\u000a</tool_call>")"))
      << any;
  EXPECT_TRUE(contains(any, R"(\"g\")")) << any;
  const std::string one =
      chat(tools + R"({"type": "function", "function": {"name": "g"}})").grammar;
  EXPECT_FALSE(contains(one, R"(\"f\")")) << one;
  model_.tool_format = openai::ToolFormat::llama3;
  EXPECT_TRUE(contains(chat(tools + R"("required")").grammar,
                       R"("{\"name\": \"f\", \"parameters\": " "{}" "}")"));
  EXPECT_TRUE(
      contains(chat_refusal(tools + R"("auto", "response_format": {"type": "json_object"})"),
               "response_format: expected {\"type\": \"text\"} with functions"));
  EXPECT_TRUE(contains(
      chat_refusal(R"("tools": [{"type": "function", "function": {"name": "f", "parameters":
                  {"type": "object", "minProperties": 1}}}], "tool_choice": "required")"),
      "tools[0].function.parameters.minProperties: this keyword"));
}

TEST_F(RequestPlannerTest, TokensOfTextsAndBack) {
  EXPECT_EQ(planner_.tokenize(R"({"prompt": "hi", "return_token_strs": true})"),
            R"({"count":2,"max_model_len":64,"tokens":[104,105],"token_strs":["h","i"]})");
  EXPECT_EQ(planner_.tokenize(R"({"messages": [{"role": "user", "content": "a"}]})"),
            R"({"count":1,"max_model_len":64,"tokens":[97],"token_strs":null})");
  EXPECT_EQ(planner_.tokenize(R"({"prompt": "<|end|>", "add_special_tokens": false})"),
            R"({"count":1,"max_model_len":64,"tokens":[)" + std::to_string(kEnd) +
                R"(],"token_strs":null})");
  EXPECT_EQ(planner_.detokenize(R"({"tokens": [104, 195]})"), "{\"prompt\":\"h\uFFFD\"}");
}

}  // namespace
}  // namespace longgen
