// messages_test.cpp: from OpenAI's messages to those that chat templates read.
#include <vector>

#include "tests/unit/serve/openai/reader.h"

namespace longgen::openai {
namespace {

std::string body(const std::string& messages) { return "{\"messages\": " + messages + "}"; }

std::string messages(const std::string& json) { return reader().chat(body(json)).messages.dump(); }

TEST(ChatMessages, AreTextsWithRoles) {
  EXPECT_EQ(messages(R"([{"role": "developer", "content": "a"},
                         {"content": "b", "role": "user", "name": "u"},
                         {"role": "assistant", "content": "c", "reasoning_content": "r"}])"),
            R"([{"role":"system","content":"a"},{"role":"user","content":"b","name":"u"},)"
            R"({"role":"assistant","content":"c","reasoning_content":"r"}])");
}

TEST(ChatMessages, JoinPartsByLineBreaks) {
  EXPECT_EQ(messages(R"([{"role": "user", "content": [{"type": "text", "text": ""},
                         {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])"),
            R"([{"role":"user","content":"\na\nb"}])");
}

TEST(ChatMessages, GiveArgumentsOfCallsAsObjects) {
  // What the openai package sends back of an answer, nulls and all.
  EXPECT_EQ(
      messages(R"([{"role": "user", "content": "a"},
          {"role": "assistant", "content": null, "refusal": null, "annotations": [], "audio": null,
           "function_call": null, "tool_calls": [{"id": "call_1", "type": "function", "index": 0,
              "function": {"name": "f", "arguments": "{\"b\": 1, \"a\": [2]}"}},
              {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
          {"role": "tool", "tool_call_id": "call_1", "content": "7"}])"),
      R"([{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[)"
      R"({"id":"call_1","type":"function","function":{"name":"f","arguments":{"b":1,"a":[2]}}},)"
      R"({"id":"call_2","type":"function","function":{"name":"g","arguments":{}}}]},)"
      R"({"role":"tool","content":"7","tool_call_id":"call_1"}])");
}

TEST(ChatMessages, SayWhatIsWrong) {
  struct Refused {
    const char* messages;
    const char* why;
  };
  const std::vector<Refused> cases = {
      {"[]",
       "invalid_value | messages: expected a list of at least 1 item, found a list of 0 items."},
      {"null", "invalid_value | messages: expected a list of at least 1 item, found null."},
      {R"(["a"])", "invalid_value | messages[0]: expected an object, found \"a\"."},
      {R"([{"content": "a"}])",
       "missing_required_parameter | messages[0].role: this field is required, and it is missing."},
      {R"([{"role": "function", "content": "a"}])",
       "invalid_value | messages[0].role: expected system, developer, user, assistant or tool, "
       "found \"function\"."},
      {R"([{"role": "user"}])",
       "missing_required_parameter | messages[0].content: this field is required, and it is "
       "missing."},
      {R"([{"role": "assistant", "content": null}])",
       "missing_required_parameter | messages[0].content: this field is required, and it is "
       "missing."},
      {R"([{"role": "user", "content": 5}])",
       "invalid_value | messages[0].content: expected a text or a list of parts, found 5."},
      {R"([{"role": "user", "content": []}])",
       "invalid_value | messages[0].content: expected a list of at least 1 item, found a list of 0 "
       "items."},
      {R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])",
       "invalid_value | messages[0].content[0].type: expected \"text\", found \"image_url\"."},
      {R"([{"role": "user", "content": [{"image_url": {"url": "x"}, "type": "image_url"}]}])",
       "unsupported_parameter | messages[0].content[0].image_url: this field is not supported. "
       "Messages are text."},
      {R"([{"role": "user", "content": "a"}, {"role": "user", "content": "a", "nane": "b"}])",
       "unknown_parameter | messages[1].nane: unknown field. Did you mean \"name\"?"},
      {R"([{"role": "user", "content": "a", "tool_calls":
            [{"function": {"name": "f", "arguments": "{}"}}]}])",
       "invalid_value | messages[0].tool_calls: expected only in a message of the role "
       "\"assistant\", found in one of \"user\"."},
      {R"([{"role": "user", "content": "a", "tool_call_id": "b"}])",
       "invalid_value | messages[0].tool_call_id: expected only in a message of the role \"tool\", "
       "found in one of \"user\"."},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}])",
       "invalid_value | messages[0].tool_calls[0].function.arguments: expected the text of a JSON "
       "object, found an object of 0 fields."},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])",
       "invalid_value | messages[0].tool_calls[0].function.arguments: expected the text of a JSON "
       "object, found \"[1]\"."},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}])",
       "invalid_value | messages[0].tool_calls[0].function.arguments: expected the text of a JSON "
       "object: not valid JSON at column 2: the text ends in the middle: expected a field's name in "
       "double quotes."},
  };
  for (const Refused& each : cases) {
    EXPECT_EQ(refusal_of([&] { reader().chat(body(each.messages)); }), each.why) << each.messages;
  }
}

TEST(ChatMessages, RenderInATemplate) {
  const ChatTemplate chat_template(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
      "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
      "{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
      "t.jinja", {});
  const auto request = reader().chat(body(R"([{"role": "user", "content": "<|x|>"},
      {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":1}"}}]},
      {"role": "tool", "content": "7"}])"));
  const RenderedChat chat = chat_template.render(request.template_request());
  EXPECT_EQ(chat.text, "<|user|><|x|><|assistant|>f{\"a\": 1}<|tool|>7<|assistant|>");
  EXPECT_EQ(chat.written[0], (ByteRange{0, 8})) << "what the user wrote is not the template's";
}

}  // namespace
}  // namespace longgen::openai
