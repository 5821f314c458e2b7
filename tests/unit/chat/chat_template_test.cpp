// Conversations, model directories and stop tokens.
#include "longgen/chat/chat_template.h"

#include <gtest/gtest.h>

#include "tests/unit/chat/render.h"
#include "tests/unit/folder_test.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

ChatTemplate make(const std::string& text) {
  return ChatTemplate(text, "t.jinja", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
}

std::string render_chat(const std::string& text, const ChatRequest& request) {
  try {
    return make(text).render(request).text;
  } catch (const Error& error) {
    return error.what();
  }
}

ChatRequest question(const std::string& text = "Hi") {
  ChatRequest request;
  request.messages = OrderedJson::array({chat_message("user", text)});
  return request;
}

TEST(ChatTemplateTest, RendersAConversation) {
  ChatRequest request = question();
  request.add_generation_prompt = true;
  EXPECT_EQ(render_chat(kChatMl, request),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(render_chat("{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}", request),
            "<s>|</s>|False");
  request.variables = {{"enable_thinking", false}, {"bos_token", "<b>"}};
  EXPECT_EQ(render_chat("{{ enable_thinking }}{{ bos_token }}", request), "False<b>");
  request.tools = parse_ordered_json(R"([{"z":1,"a":[]}])", "tools");
  request.documents = parse_ordered_json(R"([{"title":"t","text":"x"}])", "documents");
  EXPECT_EQ(render_chat("{{ tools[0]|tojson }}{{ documents[0].title }}", request),
            "{\"z\": 1, \"a\": []}t");
  EXPECT_EQ(render_chat("{{ tools is none }}{{ documents is none }}", question()), "TrueTrue");
}

TEST(ChatTemplateTest, NullMembersAreMissingAndReasoningHasEveryName) {
  ChatRequest request;
  request.messages = parse_ordered_json(
      R"([{"role":"assistant","content":null,"tool_calls":null,"reasoning":"r"}])", "m");
  EXPECT_EQ(render_chat("{{ messages[0] }}", request),
            "{'thinking': 'r', 'role': 'assistant', 'reasoning': 'r', 'reasoning_content': 'r'}");
}

TEST(ChatTemplateTest, WrongRequestsAreErrors) {
  ChatRequest none, number = question(), tools = question(), variables = question(),
                    taken = question(), large = question();
  number.messages.push_back(5);
  tools.tools = OrderedJson::array({"f"});
  variables.variables = OrderedJson::array();
  taken.variables = {{"messages", 1}};
  large.variables = {{"n", UINT64_MAX}};
  const std::pair<ChatRequest, const char*> cases[] = {
      {none, "[chat] expected at least one message, found none."},
      {number, "[chat] messages[1]: expected an object, found 5."},
      {tools, "[chat] tools[0]: expected an object, found \"f\"."},
      {variables, "[chat] variables: expected an object, found []."},
      {taken, "[chat] variables: messages is given apart from them."},
      {large, "[chat] variables.n: expected integers of 64 bits, found 18446744073709551615."},
  };
  for (const auto& [request, expected] : cases) EXPECT_EQ(render_chat("x", request), expected);
}

TEST(ChatTemplateTest, StopTokensAreWhatEndsATurn) {
  Json json = byte_level_json();
  int id = 1000;
  for (const char* token : {"<|im_start|>", "<|im_end|>", "</s>", "<end_of_turn>", "[/INST]"}) {
    json["added_tokens"].push_back(
        {{"id", id++}, {"content", token}, {"special", token != std::string("<end_of_turn>")}});
  }
  const Tokenizer tokenizer = make_tokenizer(json);
  using Names = std::vector<std::string>;
  const auto stops = [&](const std::string& text) { return make(text).stop_tokens(tokenizer); };
  EXPECT_EQ(stops(kChatMl), (Names{"<|im_end|>", "</s>"}));
  EXPECT_EQ(stops("{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
                  "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"),
            Names{"</s>"});
  EXPECT_EQ(
      stops("{% for m in messages %}<start>{{ m.content | trim }}<end_of_turn>\n{% endfor %}"),
      (Names{"<end_of_turn>", "</s>"}))
      << "an added token that is not special";
  EXPECT_EQ(stops("{% for m in messages %}{{ m.content[0].text }}<|im_end|>{% endfor %}"),
            (Names{"<|im_end|>", "</s>"}))
      << "content as a list of parts";
  EXPECT_EQ(
      stops("{% for m in messages %}{{ m.content }}{% if not loop.last %}<|im_end|>{% endif %}"
            "{% endfor %}"),
      (Names{"<|im_end|>", "</s>"}))
      << "only between turns";
  EXPECT_EQ(stops("{% for m in messages %}{{ m.content }}\n### Next\n<|im_start|>{% endfor %}"),
            Names{"</s>"})
      << "text stands before the token";
  EXPECT_EQ(stops("{{ raise_exception('no') }}"), Names{"</s>"});
}

class ModelDirectory : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    fs::create_directories(dir_ / "additional_chat_templates");
  }

  void config(const Json& json) { write_file(dir_ / "tokenizer_config.json", dump_json(json)); }
  std::string rendered(const ChatRequest& request) {
    try {
      return ChatTemplate::load(dir_).render(request).text;
    } catch (const Error& error) {
      const std::string message = error.what();
      return message.starts_with(dir_.string()) ? message.substr(dir_.string().size()) : message;
    }
  }
};

TEST_F(ModelDirectory, HasItsTemplateInTheConfig) {
  config({{"bos_token", {{"content", "<s>"}}},
          {"eos_token", "</s>"},
          {"pad_token", nullptr},
          {"chat_template", "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}"}});
  EXPECT_EQ(rendered(question()), "<s></s>False");
  config({{"chat_template", "a\n{{ x.y }}"}});
  EXPECT_EQ(rendered(question()),
            "/tokenizer_config.json: field chat_template:2: 'x' is undefined");
  config({{"chat_template", 5}});
  EXPECT_EQ(rendered(question()),
            "/tokenizer_config.json: field chat_template: expected a string, found 5.");
  config({{"eos_token", "</s>"}});
  EXPECT_EQ(rendered(question()),
            ": has no chat template: neither chat_template.jinja nor chat_template in "
            "tokenizer_config.json. A base model continues text: leave --chat out, or use generate "
            "in place of chat.");
}

TEST_F(ModelDirectory, HasSeveralTemplates) {
  ChatRequest with_tools = question();
  with_tools.tools = OrderedJson::array({OrderedJson::object()});
  config({{"chat_template",
           {{{"name", "default"}, {"template", "D"}}, {{"name", "tool_use"}, {"template", "T"}}}}});
  EXPECT_EQ(rendered(question()) + rendered(with_tools), "DT");
  config({{"chat_template", {{{"name", "rag"}, {"template", "R"}}}}});
  EXPECT_EQ(rendered(question()),
            "/tokenizer_config.json: expected a chat template named default among its templates.");
  write_file(dir_ / "chat_template.jinja", "file\n");
  EXPECT_EQ(rendered(question()) + rendered(with_tools), "filefile") << "the file comes first";
  write_file(dir_ / "additional_chat_templates/tool_use.jinja", "tools");
  EXPECT_EQ(rendered(with_tools), "tools");
}

TEST_F(ModelDirectory, HasItsTokensInTheOlderFile) {
  config({{"bos_token", "<s>"}, {"chat_template", "{{ bos_token }}{{ eos_token }}"}});
  write_file(dir_ / "special_tokens_map.json", R"({"eos_token":{"content":"</s>"}})");
  EXPECT_EQ(rendered(question()), "<s></s>");
}

}  // namespace
}  // namespace longgen
