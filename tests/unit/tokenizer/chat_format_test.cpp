#include "longgen/tokenizer/chat_format.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
constexpr const char* kMistral =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ message['content'] + eos_token "
    "}}{% endif %}"
    "{% endfor %}";

ChatFormat make(const char* text) {
  return ChatFormat::from_template(text, "t.jinja", "<s>", "</s>");
}

TEST(ChatFormatTest, RendersAndStops) {
  const ChatFormat chatml = make(kChatMl);
  EXPECT_EQ(chatml.name(), "ChatML");
  EXPECT_EQ(chatml.render({{"user", "Hi"}}, true),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(chatml.stop_tokens(), (std::vector<std::string>{"<|im_end|>", "</s>"}));
  const ChatFormat mistral = make(kMistral);
  EXPECT_EQ(mistral.render({{"user", "Hi"}, {"assistant", "Yo"}, {"user", "?"}}, true),
            "<s>[INST] Hi [/INST]Yo</s>[INST] ? [/INST]");
  EXPECT_EQ(mistral.stop_tokens(), std::vector<std::string>{"</s>"});
}

TEST(ChatFormatTest, WrongConversationsAreErrors) {
  const ChatFormat chatml = make(kChatMl), mistral = make(kMistral);
  const std::pair<std::string, const char*> cases[] = {
      {error_of([&] { chatml.render({}, true); }), "[chat] expected at least one message"},
      {error_of([&] {
         chatml.render({{"tool", "x"}}, true);
       }),
       "found \"tool\" in message 0"},
      {error_of([&] {
         mistral.render({{"system", "x"}, {"user", "y"}}, true);
       }),
       "no place for a system message"},
      {error_of([&] {
         mistral.render({{"user", "x"}, {"user", "y"}}, true);
       }),
       "expects the role assistant in message 1, found user"},
      {error_of([&] { ChatFormat::from_template(kMistral, "t.jinja", "", "</s>"); }),
       "writes bos_token"},
      {error_of([&] { ChatFormat::from_template(kMistral, "t.jinja", "<s>", ""); }),
       "writes eos_token"},
      {error_of([&] { make("{{ messages }}"); }),
       "t.jinja: the chat template is none that longgen knows: ChatML (SmolLM2, Qwen 2 and 2.5), "
       "Llama 2, Llama 3 and "
       "Mistral."},
      {error_of([&] { make("{{ 'a"); }), "has a {{ without }}"},
      {error_of([&] { make("{"); }), "none that longgen knows"},
  };
  for (const auto& [message, expected] : cases)
    EXPECT_NE(message.find(expected), std::string::npos) << message;
}

TEST(ChatFormatTest, ReadsTheModelDirectory) {
  const fs::path dir =
      fs::temp_directory_path() / ("longgen_chat_test." + std::to_string(::getpid()));
  fs::create_directories(dir);
  const auto config = [&](const Json& json) {
    write_file(dir / "tokenizer_config.json", dump_json(json));
  };
  config({{"eos_token", "</s>"}});
  EXPECT_NE(error_of([&] { load_chat_format(dir); }).find("field chat_template: is missing"),
            std::string::npos);
  config(
      {{"eos_token", nullptr}, {"chat_template", {{{"name", "default"}, {"template", kChatMl}}}}});
  EXPECT_EQ(load_chat_format(dir).name(), "ChatML");
  config({{"chat_template", {{{"name", "tool_use"}, {"template", kChatMl}}}}});
  EXPECT_NE(error_of([&] { load_chat_format(dir); }).find("named default"), std::string::npos);
  config({{"chat_template", 5}});
  EXPECT_NE(error_of([&] { load_chat_format(dir); }).find("field chat_template: expected a string"),
            std::string::npos);
  config({{"bos_token", {{"content", "<s>"}}}, {"eos_token", "</s>"}});
  write_file(dir / "chat_template.jinja", kMistral);
  EXPECT_EQ(load_chat_format(dir).name(), "Mistral") << "the file comes first";
  fs::remove_all(dir);
}

}  // namespace
}  // namespace longgen
