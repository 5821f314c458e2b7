// tool_calls_test.cpp: calls in what models say, whole and in pieces.
#include "longgen/serve/openai/tool_calls.h"

#include <gtest/gtest.h>

#include <chrono>

namespace longgen::openai {
namespace {

/// Joins the parts of a reply that comes in pieces of so many bytes: texts as they are, calls as
/// "[ID NAME ARGUMENTS]".
std::string parsed(ToolFormat format, const std::string& reply, size_t piece) {
  ToolCallParser parser(format, {"f", "get_weather"}, "r");
  std::vector<ReplyPart> parts;
  const auto add = [&parts](std::vector<ReplyPart> more) {
    parts.insert(parts.end(), more.begin(), more.end());
  };
  for (size_t i = 0; i < reply.size(); i += piece) add(parser.push(reply.substr(i, piece)));
  add(parser.finish());
  std::string all;
  for (const ReplyPart& part : parts) {
    EXPECT_NE(part.text.empty(), !part.call.has_value()) << "a part is a text or a call";
    all += part.text;
    if (part.call) {
      all += "[" + part.call->id + " " + part.call->name + " " + part.call->arguments + "]";
    }
  }
  return all;
}

struct Reply {
  const char* reply;
  const char* parts;
};

void expect_parts(ToolFormat format, const std::vector<Reply>& cases) {
  for (const Reply& each : cases) {
    for (const size_t piece : {1, 2, 3, 7, 1000}) {
      EXPECT_EQ(parsed(format, each.reply, piece), each.parts)
          << each.reply << " in pieces of " << piece;
    }
  }
}

TEST(ToolCalls, OfHermes) {
  expect_parts(
      ToolFormat::hermes,
      {{"Hello.", "Hello."},
       {" \n", " \n"},
       {"<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": [{}]}}\n</tool_call>",
        "[call_r_0 f {\"b\":1,\"a\":[{}]}]"},
       {"Let me see.\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
        "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"at\":\"</tool_call>}\"}}"
        "</tool_call>\n",
        "Let me see.[call_r_0 f {}][call_r_1 get_weather {\"at\":\"</tool_call>}\"}]"},
       {"<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\nDone.",
        "[call_r_0 f {}]\nDone."},
       // Some models write the arguments as a text, or leave the closing tag to the end.
       {"<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}</tool_call>",
        "[call_r_0 f {\"a\":1}]"},
       {"<tool_call>{\"name\":\"f\",\"arguments\":{}}\n</tool", "[call_r_0 f {}]"}});
}

TEST(ToolCalls, OfHermesThatAreNoneStayText) {
  for (const char* reply :
       {"a < b and <tool_ca", "<tool_call>", "<tool_call> the tag", "<tool_call>{\"name\": \"f\"",
        "<tool_call>{\"name\": \"f\", \"arguments\": {}}x</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": {},}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": \"{\"}</tool_call>",
        "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"name\": \"f\", \"arguments\": {}}</tool_call>",
        " \n<tool_call>{\"a\nb", "</tool_call>"}) {
    expect_parts(ToolFormat::hermes, {{reply, reply}});
  }
  expect_parts(ToolFormat::hermes,
               {{"<tool_call>no, <tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
                 "<tool_call>no,[call_r_0 f {}]"}});
}

TEST(ToolCalls, OfLlama3) {
  expect_parts(
      ToolFormat::llama3,
      {{"{\"name\": \"f\", \"parameters\": {\"a\": \"}\"}}", "[call_r_0 f {\"a\":\"}\"}]"},
       {"\n{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}\n", "[call_r_0 f {}]"},
       {"{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"get_weather\", \"arguments\": {}};",
        "[call_r_0 f {}][call_r_1 get_weather {}]"},
       {"{\"name\": \"f\", \"parameters\": {}} as you wish", "[call_r_0 f {}] as you wish"},
       {"{\"name\": \"Bob\", \"parameters\": {}}", "{\"name\": \"Bob\", \"parameters\": {}}"},
       {"{\"answer\": 42}", "{\"answer\": 42}"},
       {"I call {\"name\": \"f\", \"parameters\": {}}",
        "I call {\"name\": \"f\", \"parameters\": {}}"},
       {"{\"name\": \"f\", \"para", "{\"name\": \"f\", \"para"},
       {"; {\"name\": \"f\", \"parameters\": {}}", "; {\"name\": \"f\", \"parameters\": {}}"}});
}

TEST(ToolCalls, LetTextThroughAtOnce) {
  ToolCallParser parser(ToolFormat::hermes, {"f"}, "r");
  EXPECT_EQ(parser.push("Let me "), (std::vector<ReplyPart>{{"Let me", {}}}));
  EXPECT_EQ(parser.push("see <"), (std::vector<ReplyPart>{{" see", {}}}));
  EXPECT_EQ(parser.push("b>"), (std::vector<ReplyPart>{{" <b>", {}}}));
  EXPECT_EQ(parser.push("\n<tool_call>{\"name\":\"f\",\"arguments\":{}}"),
            std::vector<ReplyPart>{});
  EXPECT_EQ(parser.push("</tool_call>"),
            (std::vector<ReplyPart>{{"", ToolCall{"call_r_0", "f", "{}"}}}));
  EXPECT_EQ(parser.num_calls(), 1);
}

/// 400 KB of beginnings of calls take 50 ms here; with the square of the text it would be minutes.
TEST(ToolCalls, TakeTimeWithTheTextNotItsSquare) {
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string part :
       {"<tool_call>{", "<tool_call>", "<tool_call>{}", "\n", "{\"", "<"}) {
    std::string reply;
    while (reply.size() < 400000) reply += part;
    for (const ToolFormat format : {ToolFormat::hermes, ToolFormat::llama3}) {
      EXPECT_EQ(parsed(format, reply, 4), reply);
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(ToolFormats, AreReadOffTheTemplate) {
  const auto format = [](const std::string& call) {
    return tool_format(
        ChatTemplate("{% for m in messages %}{{ m.content }}{% if m.tool_calls %}"
                     "{% for c in m.tool_calls %}" +
                         call + "{% endfor %}{% endif %}{% endfor %}",
                     "t.jinja", {}));
  };
  EXPECT_EQ(format("<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
                   "{{ c.function.arguments | tojson }}}\n</tool_call>"),
            ToolFormat::hermes);
  EXPECT_EQ(format("{\"name\": \"{{ c.function.name }}\", \"parameters\": "
                   "{{ c.function.arguments | tojson }}}<|eot_id|>"),
            ToolFormat::llama3);
  EXPECT_EQ(format("[TOOL_CALLS][{{ c.function | tojson }}]"), std::nullopt) << "Mistral's";
  EXPECT_EQ(format("<tool_call>\n<function={{ c.function.name }}>"), std::nullopt);
  EXPECT_EQ(tool_format(ChatTemplate("{% if tools %}Write <tool_call>\n{\"name\": NAME, "
                                     "\"arguments\": {}}\n</tool_call>.{% endif %}",
                                     "t.jinja", {})),
            ToolFormat::hermes)
      << "SmolLM3's tells the model how to call and shows no calls";
  EXPECT_EQ(format("{{ raise_exception('no tools') }}"), std::nullopt);
}

}  // namespace
}  // namespace longgen::openai
