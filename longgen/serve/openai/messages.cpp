// messages.cpp: the messages of a chat, from OpenAI's form to the one that chat templates read.
#include "longgen/base/check.h"
#include "longgen/serve/openai/bounded_json.h"
#include "longgen/serve/openai/fields.h"

namespace longgen::openai {
namespace {

enum class Role { system, developer, user, assistant, tool };

constexpr Choice<Role, 5> kRoles = {{{{"system", Role::system},
                                      {"developer", Role::developer},
                                      {"user", Role::user},
                                      {"assistant", Role::assistant},
                                      {"tool", Role::tool}}}};

struct TextPart {
  std::string type, text;
};

/// The function that was called; its arguments as an object, because templates print them.
struct CalledFunction {
  std::string name;
  OrderedJson arguments;
};

struct MadeCall {
  std::optional<std::string> id;
  std::string type = "function";
  CalledFunction function;
};

struct Message {
  Role role = Role::user;
  std::optional<std::string> content, name, reasoning_content, tool_call_id;
  std::vector<MadeCall> tool_calls;
};

/// A text, or parts of which each is one: they are joined by line breaks.
Rule<std::string> content_rule() {
  const Rule<TextPart> part =
      FieldTable<TextPart>()
          .required("type", &TextPart::type, the_text("text"),
                    "The kind of part; pictures, sounds and files are not supported.")
          .required("text", &TextPart::text, text(), "The part's text.")
          .refused("image_url", "Messages are text.")
          .refused("input_audio", "Messages are text.")
          .refused("file", "Messages are text.")
          .rule();
  const auto parts = list(part, 1);
  return {{{"anyOf", {text().schema, parts.schema}}}, [parts = parts.read](const Input& input) {
            if (input.json().is_string()) return input.json().get<std::string>();
            if (!input.json().is_array()) input.refuse("a text or a list of parts");
            const std::vector<TextPart> found = parts(input);
            std::string joined = found[0].text;
            for (size_t i = 1; i < found.size(); ++i) joined += "\n" + found[i].text;
            return joined;
          }};
}

/// The text of a JSON object, as a model wrote it. No text at all counts as no arguments.
Rule<OrderedJson> arguments_rule() {
  return {{{"type", "string"}}, [](const Input& input) -> OrderedJson {
            if (!input.json().is_string()) input.refuse("the text of a JSON object");
            const auto& written = input.json().get_ref<const std::string&>();
            if (written.empty()) return OrderedJson::object();
            OrderedJson arguments;
            try {
              arguments = parse_bounded_json(written, "expected the text of a JSON object");
            } catch (const Error& error) {
              refuse_at(input.path(), error.what());
            }
            if (!arguments.is_object()) input.refuse("the text of a JSON object");
            return arguments;
          }};
}

Rule<MadeCall> call_rule() {
  const Rule<CalledFunction> function =
      FieldTable<CalledFunction>()
          .required("name", &CalledFunction::name, name(), "The function's name.")
          .required("arguments", &CalledFunction::arguments, arguments_rule(),
                    "Its arguments, as the text of a JSON object.")
          .rule();
  return FieldTable<MadeCall>()
      .optional("id", &MadeCall::id, text(0, 256), "The call's name in the conversation.")
      .optional("type", &MadeCall::type, the_text("function"), "The kind of tool.")
      .required("function", &MadeCall::function, function, "What was called.")
      .ignored("index", integer(0, INT32_MAX), "The call's place, as streams give it.")
      .rule();
}

FieldTable<Message> message_fields() {
  FieldTable<Message> table;
  table
      .required("role", &Message::role, one_of(kRoles),
                "Who speaks. A developer's message is one of the system.")
      .optional("content", &Message::content, content_rule(), "A text, or a list of texts.")
      .optional("name", &Message::name, text(1, 64),
                "The speaker's name, for templates that read it.")
      .optional("tool_calls", &Message::tool_calls, list(call_rule(), 0, 128),
                "What the assistant called.")
      .optional("tool_call_id", &Message::tool_call_id, text(0, 256),
                "Which call a tool's message answers.")
      .optional("reasoning_content", &Message::reasoning_content, text(),
                "What the assistant thought, for templates that read it.")
      .fixed("annotations", OrderedJson::array(), "Answers have none.")
      .refused("refusal", "Send it as content.")
      .refused("audio", "Messages are text.")
      .refused("function_call", "Use tool_calls.");
  return table;
}

/// Refuses fields that the message's role does not have.
void check_role(const Input& input, const Message& message) {
  const auto only = [&](bool given, const char* field, Role role) {
    if (!given || message.role == role) return;
    refuse_at(input.path_of(field), "expected only in a message of the role \"" +
                                        kRoles.name(role) + "\", found in one of \"" +
                                        kRoles.name(message.role) + "\".");
  };
  only(!message.tool_calls.empty(), "tool_calls", Role::assistant);
  only(message.reasoning_content.has_value(), "reasoning_content", Role::assistant);
  only(message.tool_call_id.has_value(), "tool_call_id", Role::tool);
  if (message.content || !message.tool_calls.empty()) return;
  refuse_at(input.path_of("content"), "this field is required, and it is missing.",
            "missing_required_parameter");
}

OrderedJson call_json(const MadeCall& call) {
  OrderedJson json = OrderedJson::object();
  if (call.id) json["id"] = *call.id;
  json["type"] = call.type;
  json["function"] = {{"name", call.function.name}, {"arguments", call.function.arguments}};
  return json;
}

OrderedJson message_json(const Message& message) {
  const Role role = message.role == Role::developer ? Role::system : message.role;
  OrderedJson json = chat_message(kRoles.name(role), message.content.value_or(""));
  if (message.name) json["name"] = *message.name;
  if (message.reasoning_content) json["reasoning_content"] = *message.reasoning_content;
  if (message.tool_call_id) json["tool_call_id"] = *message.tool_call_id;
  for (const MadeCall& call : message.tool_calls) json["tool_calls"].push_back(call_json(call));
  return json;
}

}  // namespace

Rule<OrderedJson> messages_rule() {
  const Rule<Message> message = message_fields().rule();
  const auto read_one = [read = message.read](const Input& input) {
    const Message found = read(input);
    check_role(input, found);
    return message_json(found);
  };
  const auto all = list(Rule<OrderedJson>{message.schema, read_one}, 1);
  return {all.schema, [read = all.read](const Input& input) { return OrderedJson(read(input)); }};
}

}  // namespace longgen::openai
