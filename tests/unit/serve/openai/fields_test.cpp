// fields_test.cpp: what the routes take, and what they say of what they do not take.
#include <vector>

#include "tests/unit/serve/openai/reader.h"

namespace longgen::openai {
namespace {

struct Refused {
  const char* fields;
  const char* why;
};

TEST(ChatFields, AreReadIntoTheirMembers) {
  const ChatCompletionRequest request = chat(R"("model": "m", "n": 3, "temperature": 0.5,
      "top_p": 0.9, "top_k": 40, "min_p": 0.05, "frequency_penalty": -2, "presence_penalty": 2,
      "repetition_penalty": 1.25, "seed": -7, "logit_bias": {"5": -100, "999": 100},
      "stop": ["x", "yy"], "stop_token_ids": [7, 8], "min_tokens": 2, "ignore_eos": true,
      "prompt_logprobs": null, "priority": -3, "cache_salt": "s", "stream": true,
      "stream_options": {"include_usage": true, "continuous_usage_stats": true},
      "return_progress": true, "max_completion_tokens": 9, "logprobs": true, "top_logprobs": 20,
      "user": "u", "metadata": {"a": "b"}, "store": false, "service_tier": "auto",
      "parallel_tool_calls": true, "modalities": ["text"])");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_p, 0.9);
  EXPECT_EQ(request.top_k, 40);
  EXPECT_EQ(request.min_p, 0.05);
  EXPECT_EQ(request.frequency_penalty, -2);
  EXPECT_EQ(request.presence_penalty, 2);
  EXPECT_EQ(request.repetition_penalty, 1.25);
  EXPECT_EQ(request.seed, -7);
  EXPECT_EQ(request.logit_bias, (std::vector<LogitBias>{{5, -100}, {999, 100}}));
  EXPECT_EQ(request.stop, (std::vector<std::string>{"x", "yy"}));
  EXPECT_EQ(request.stop_token_ids, (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(request.min_tokens, 2);
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_EQ(request.prompt_logprobs, std::nullopt);
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_salt, "s");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.stream_options->include_usage);
  EXPECT_TRUE(request.stream_options->continuous_usage_stats);
  EXPECT_TRUE(request.return_progress);
  EXPECT_EQ(request.token_limit(), 9);
  EXPECT_TRUE(request.logprobs);
  EXPECT_EQ(request.top_logprobs, 20);
}

TEST(ChatFields, HaveTheDefaultsOfOpenAi) {
  const ChatCompletionRequest request = chat("");
  EXPECT_EQ(request.model, std::nullopt);
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.temperature, 1);
  EXPECT_EQ(request.top_p, 1);
  EXPECT_EQ(request.seed, std::nullopt);
  EXPECT_EQ(request.token_limit(), std::nullopt);
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.response_format.kind, FormatKind::text);
}

TEST(ChatFields, NullCountsAsAbsent) {
  const ChatCompletionRequest request =
      chat(R"("stop": null, "n": null, "tools": null, "max_tokens": null, "best_of": null,
              "response_format": null, "stream_options": null, "logit_bias": null)");
  EXPECT_EQ(request.n, 1);
  EXPECT_TRUE(request.stop.empty());
  EXPECT_TRUE(request.tools.is_null());
}

TEST(ChatFields, TakeEitherNameOfTheLimit) {
  EXPECT_EQ(chat(R"("max_tokens": 5)").token_limit(), 5);
  EXPECT_EQ(chat(R"("max_tokens": 5, "max_completion_tokens": 5)").token_limit(), 5);
  EXPECT_EQ(chat(R"("max_tokens": 5.0)").token_limit(), 5) << "JSON Schema calls this an integer";
}

TEST(ChatFields, KeepTheSchemaOfAFormatAsText) {
  const ResponseFormat format = chat(R"("response_format": {"type": "json_schema", "json_schema":
              {"name": "n", "strict": true, "schema": {"type": "object", "a": [1, 2.5]}}})")
                                    .response_format;
  EXPECT_EQ(format.kind, FormatKind::json_schema);
  EXPECT_EQ(format.schema, R"({"type":"object","a":[1,2.5]})");
  EXPECT_EQ(chat(R"("response_format": {"type": "json_object"})").response_format.kind,
            FormatKind::json_object);
}

constexpr const char* kTools =
    R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
                 {"type": "function", "function": {"name": "g"}}])";

TEST(ChatFields, ToolsStayAsTheyAreAndTheChoiceNamesThem) {
  const auto with = [](const std::string& choice) {
    return chat(std::string(kTools) + ", \"tool_choice\": " + choice);
  };
  const ChatCompletionRequest request = chat(kTools);
  EXPECT_EQ(request.tools[0].dump(),
            R"({"type":"function","function":{"name":"f","parameters":{"type":"object"}}})");
  EXPECT_EQ(request.callable(), (std::vector<std::string>{"f", "g"}));
  EXPECT_EQ(request.template_request().tools, request.tools);

  EXPECT_EQ(with("\"auto\"").callable(), (std::vector<std::string>{"f", "g"}));
  EXPECT_EQ(with("\"required\"").tool_choice->kind, ToolChoiceKind::required);
  EXPECT_TRUE(with("\"none\"").callable().empty());
  EXPECT_TRUE(with("\"none\"").template_request().tools.is_null());
  const auto named = with(R"({"type": "function", "function": {"name": "g"}})");
  EXPECT_EQ(named.tool_choice->kind, ToolChoiceKind::function);
  EXPECT_EQ(named.callable(), (std::vector<std::string>{"g"}));
}

TEST(ChatFields, GiveVariablesToTheTemplate) {
  const ChatRequest request =
      chat(R"("chat_template_kwargs": {"enable_thinking": false, "date_string": "26 Jul 2024"})")
          .template_request();
  EXPECT_EQ(request.variables.dump(), R"({"enable_thinking":false,"date_string":"26 Jul 2024"})");
  EXPECT_TRUE(request.add_generation_prompt);
}

TEST(ChatFields, SayWhatIsWrong) {
  const std::vector<Refused> cases = {
      {R"("n": 1000000)", "invalid_value | n: expected an integer from 1 to 128, found 1000000."},
      {R"("n": 0)", "invalid_value | n: expected an integer from 1 to 128, found 0."},
      {R"("n": 1.5)", "invalid_value | n: expected an integer from 1 to 128, found 1.5."},
      {R"("n": "2")", "invalid_value | n: expected an integer from 1 to 128, found \"2\"."},
      {R"("max_tokens": -1)",
       "invalid_value | max_tokens: expected an integer from 1 to 2147483647, found -1."},
      {R"("max_tokens": 2.5)",
       "invalid_value | max_tokens: expected an integer from 1 to 2147483647, found 2.5."},
      {R"("max_tokens": 99999999999999999999)",
       "invalid_value | max_tokens: expected an integer from 1 to 2147483647, found 1e+20."},
      {R"("max_tokens": 5, "max_completion_tokens": 6)",
       "invalid_value | max_tokens: expected max_completion_tokens or the same number, 6, found 5."},
      {R"("min_tokens": 6, "max_tokens": 5)",
       "invalid_value | min_tokens: expected at most the 5 tokens of the request's limit, found 6."},
      {R"("temperature": 2.5)",
       "invalid_value | temperature: expected a number from 0 to 2, found 2.5."},
      {R"("top_p": 0)", "invalid_value | top_p: expected a number above 0 and at most 1, found 0."},
      {R"("top_k": -2)",
       "invalid_value | top_k: expected an integer from -1 to 2147483647, found -2."},
      {R"("stream": "true")", "invalid_value | stream: expected true or false, found \"true\"."},
      {R"("logprobs": true, "top_logprobs": 1000000)",
       "invalid_value | top_logprobs: expected an integer from 0 to 20, found 1000000."},
      {R"("top_logprobs": 2)",
       "invalid_value | top_logprobs: expected only together with \"logprobs\": true."},
      {R"("logit_bias": {"1000": 1})",
       "invalid_value | logit_bias.1000: expected the id of a token from 0 to 999 as the field's "
       "name, found \"1000\"."},
      {R"("logit_bias": {"the": 1})",
       "invalid_value | logit_bias.the: expected the id of a token from 0 to 999 as the field's "
       "name, found \"the\"."},
      {R"("logit_bias": {"5": 100.5})",
       "invalid_value | logit_bias.5: expected a number from -100 to 100, found 100.5."},
      {R"("logit_bias": {"5": 1, "05": 2})",
       "invalid_value | logit_bias.05: token 5 stands here twice."},
      {R"("logit_bias": [5])",
       "invalid_value | logit_bias: expected an object of at most 1024 fields, found a list of 1 "
       "item."},
      {R"("stop": "")",
       "invalid_value | stop: expected a text of 1 to 1024 characters, found \"\"."},
      {R"("stop": ["a", 5])",
       "invalid_value | stop[1]: expected a text of 1 to 1024 characters, found 5."},
      {R"("stop_token_ids": [1000])",
       "invalid_value | stop_token_ids[0]: expected the id of a token from 0 to 999, found 1000."},
      {R"("stop_token_ids": 5)",
       "invalid_value | stop_token_ids: expected a list of 0 to 64 items, found 5."},
      {R"("cache_salt": "")",
       "invalid_value | cache_salt: expected a text of 1 to 256 characters, found \"\"."},
      {R"("stream_options": {"include_usage": true})",
       "invalid_value | stream_options: expected only together with \"stream\": true."},
      {R"("stream": true, "stream_options": {"usage": true})",
       "unknown_parameter | stream_options.usage: unknown field."},
      {R"("return_progress": true)",
       "invalid_value | return_progress: expected only together with \"stream\": true."},
      {R"("stream": true, "prompt_logprobs": 1)",
       "invalid_value | prompt_logprobs: expected only together with \"stream\": false."},
      {R"("max_token": 5)",
       "unknown_parameter | max_token: unknown field. Did you mean \"max_tokens\"?"},
      {R"("xyzzy": null)", "unknown_parameter | xyzzy: unknown field."},
      {R"("": 1)", "unknown_parameter | \"\": unknown field."},
      {R"("guided_json": {})",
       "unsupported_parameter | guided_json: this field is not supported. Use response_format."},
      {R"("store": true)",
       "invalid_value | store: expected false, the only value that is supported, found true."},
      {R"("response_format": {"type": "xml"})",
       "invalid_value | response_format.type: expected text, json_object or json_schema, found "
       "\"xml\"."},
      {R"("response_format": {"type": "json_schema"})",
       "invalid_value | response_format.json_schema: this field is required with the type "
       "\"json_schema\"."},
      {R"("response_format": {"type": "text", "json_schema": {"name": "n"}})",
       "invalid_value | response_format.json_schema: expected only with the type \"json_schema\"."},
      {R"("response_format": {})",
       "missing_required_parameter | response_format.type: this field is required, and it is "
       "missing."},
      {R"("tools": [])",
       "invalid_value | tools: expected a list of 1 to 128 items, found a list of "
       "0 items."},
      {R"("tools": [{"type": "function", "function": {"name": "a b"}}])",
       "invalid_value | tools[0].function.name: expected a name of 1 to 64 letters, digits, \"_\" "
       "and \"-\", found \"a b\"."},
      {R"("tools": [{"type": "function", "function": {"name": "a"}},
                    {"type": "function", "function": {"name": "a"}}])",
       "invalid_value | tools[1].function.name: the function \"a\" stands here twice."},
      {R"("tool_choice": "required")",
       "invalid_value | tool_choice: expected only together with tools."},
      {R"("tools": [{"type": "function", "function": {"name": "a"}}],
          "tool_choice": {"type": "function", "function": {"name": "b"}})",
       "invalid_value | tool_choice: expected one of the tools, found the function \"b\"."},
      {R"("chat_template_kwargs": {"messages": []})",
       "unknown_parameter | chat_template_kwargs.messages: unknown field."},
      {R"("chat_template_kwargs": {"chat_template": "{{ 1 }}"})",
       "unknown_parameter | chat_template_kwargs.chat_template: unknown field."},
      {R"("chat_template_kwargs": {"enable_thinking": "no"})",
       "invalid_value | chat_template_kwargs.enable_thinking: expected true or false, found "
       "\"no\"."},
  };
  for (const Refused& each : cases) EXPECT_EQ(chat_refusal(each.fields), each.why) << each.fields;
}

TEST(CompletionFields, TakePromptsOfEveryForm) {
  const auto prompts = [](const char* prompt) {
    return completion(std::string("\"prompt\": ") + prompt).prompts;
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(prompts(R"("a")"), (std::vector<Prompt>{"a"}));
  EXPECT_EQ(prompts(R"(["a", ""])"), (std::vector<Prompt>{"a", ""}));
  EXPECT_EQ(prompts("[1, 2]"), (std::vector<Prompt>{Ids{1, 2}}));
  EXPECT_EQ(prompts("[[1, 2], [3]]"), (std::vector<Prompt>{Ids{1, 2}, Ids{3}}));
}

TEST(CompletionFields, TakeWhatLmEvalSends) {
  const CompletionRequest request = completion(
      R"("model": "m", "prompt": [[1, 2]], "temperature": 0, "max_tokens": 1, "logprobs": 1,
         "seed": 1234, "echo": true)");
  EXPECT_TRUE(request.echo);
  EXPECT_EQ(request.logprobs, 1);
  EXPECT_EQ(request.max_tokens, 1);
  EXPECT_EQ(completion(R"("prompt": "a", "max_tokens": 0)").max_tokens, 0);
  EXPECT_EQ(completion(R"("prompt": "a")").max_tokens, 16) << "as OpenAI's";
}

TEST(CompletionFields, SayWhatIsWrong) {
  const std::vector<Refused> cases = {
      {"", "missing_required_parameter | prompt: this field is required, and it is missing."},
      {R"("prompt": null)",
       "invalid_value | prompt: expected a text, a list of texts, a list of token ids or a list of "
       "such lists, found null."},
      {R"("prompt": [])",
       "invalid_value | prompt: expected a text, a list of texts, a list of token ids or a list of "
       "such lists, found a list of 0 items."},
      {R"("prompt": [1, "a"])",
       "invalid_value | prompt[1]: expected the id of a token from 0 to 999, found \"a\"."},
      {R"("prompt": ["a", 1])", "invalid_value | prompt[1]: expected a text, found 1."},
      {R"("prompt": [[1], []])",
       "invalid_value | prompt[1]: expected a list of at least 1 item, found a list of 0 items."},
      {R"("prompt": [[1], [1000]])",
       "invalid_value | prompt[1][0]: expected the id of a token from 0 to 999, found 1000."},
      {R"("prompt": [-1])",
       "invalid_value | prompt[0]: expected the id of a token from 0 to 999, found -1."},
      {R"("prompt": [0.5])",
       "invalid_value | prompt[0]: expected the id of a token from 0 to 999, found 0.5."},
      {R"("prompt": "a", "logprobs": 21)",
       "invalid_value | logprobs: expected an integer from 0 to 20, found 21."},
      {R"("prompt": "a", "suffix": "b")",
       "unsupported_parameter | suffix: this field is not supported. The model continues texts and "
       "does not fill them in."},
      {R"("prompt": "a", "messages": [])", "unknown_parameter | messages: unknown field."},
  };
  for (const Refused& each : cases) {
    EXPECT_EQ(completion_refusal(each.fields), each.why) << each.fields;
  }
}

TEST(CompletionFields, BoundTheAnswersOfAllPrompts) {
  std::string prompts = "\"prompt\": [\"a\"";
  for (int i = 1; i < 17; ++i) prompts += ", \"a\"";
  EXPECT_EQ(completion(prompts + "], \"n\": 120").prompts.size(), 17u);
  EXPECT_EQ(completion_refusal(prompts + "], \"n\": 121"),
            "invalid_value | n: expected at most 2048 answers in all, found 121 to each of 17 "
            "prompts.");
}

TEST(TokenizeFields, TakeATextOrAConversation) {
  const TokenizeRequest text = reader().tokenize(R"({"prompt": "a", "add_special_tokens": false})");
  EXPECT_EQ(text.prompt, "a");
  EXPECT_FALSE(text.add_special_tokens);
  const TokenizeRequest talk = reader().tokenize(
      R"({"messages": [{"role": "user", "content": "a"}], "add_generation_prompt": false})");
  EXPECT_EQ(talk.template_request().messages.size(), 1u);
  EXPECT_FALSE(talk.template_request().add_generation_prompt);

  const auto why = [](const char* body) { return refusal_of([&] { reader().tokenize(body); }); };
  EXPECT_EQ(why("{}"),
            "invalid_value | prompt: expected either prompt or messages, found neither.");
  EXPECT_EQ(why(R"({"prompt": "a", "messages": [{"role": "user", "content": "a"}]})"),
            "invalid_value | prompt: expected either prompt or messages, found both.");
  EXPECT_EQ(why(R"({"prompt": "a", "chat_template_kwargs": {"thinking": true}})"),
            "invalid_value | chat_template_kwargs: expected only together with messages.");
}

TEST(DetokenizeFields, TakeIdsOfTheVocabulary) {
  EXPECT_EQ(reader().detokenize(R"({"tokens": [0, 999]})").tokens, (std::vector<int32_t>{0, 999}));
  EXPECT_EQ(refusal_of([] { reader().detokenize(R"({"tokens": [1000]})"); }),
            "invalid_value | tokens[0]: expected the id of a token from 0 to 999, found 1000.");
}

}  // namespace
}  // namespace longgen::openai
