#include "longgen/chat/chat_template.h"

#include <algorithm>
#include <array>

#include "longgen/base/check.h"
#include "longgen/chat/json_value.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

using jinja::Origin;
using jinja::Text;
using jinja::Value;

constexpr size_t kMaxTemplateBytes = 1 << 20;

/// Roles that templates put into special tokens ("<|" + role + "|>"). They are names that programs
/// choose, so they count as written by the template; any other role is data like a message's text.
constexpr std::array<std::string_view, 9> kKnownRoles = {"system",  "user",        "assistant",
                                                         "tool",    "function",    "developer",
                                                         "ipython", "observation", "tool_response"};

/// Fields that hold an assistant's reasoning. Templates read the first, older programs write the
/// others.
constexpr std::array<const char*, 3> kReasoningFields = {"reasoning_content", "thinking",
                                                         "reasoning"};

Value text_value(const std::string& bytes, Origin origin) {
  return Value(Value::Storage(std::make_shared<const Text>(bytes, origin)));
}

/// A message without members that are null, and with its reasoning under the names that templates
/// read.
OrderedJson normalized(const OrderedJson& message) {
  OrderedJson kept = OrderedJson::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) kept[key] = value;
  }
  for (const char* field : kReasoningFields) {
    const auto reasoning = kept.find(field);
    if (reasoning == kept.end()) continue;
    OrderedJson renamed = {{"thinking", *reasoning}};
    renamed.update(kept);
    renamed["reasoning_content"] = kept[field];
    return renamed;
  }
  return kept;
}

/// What was found, short enough for a message.
std::string shown(const OrderedJson& json) {
  const std::string text = dump_json(json);
  return text.size() <= 60 ? text : replace_invalid_utf8(text.substr(0, 60)) + "...";
}

void check_objects(const OrderedJson& list, const std::string& what) {
  LG_CHECK(list.is_array(), "[chat] ", what, ": expected an array of objects, found ", shown(list),
           ".");
  for (size_t i = 0; i < list.size(); ++i) {
    LG_CHECK(list[i].is_object(), "[chat] ", what, "[", i, "]: expected an object, found ",
             shown(list[i]), ".");
  }
}

Value messages_value(const OrderedJson& messages) {
  check_objects(messages, "messages");
  LG_CHECK(!messages.empty(), "[chat] expected at least one message, found none.");
  jinja::Sequence list;
  for (size_t i = 0; i < messages.size(); ++i) {
    const OrderedJson message = normalized(messages[i]);
    jinja::Dict dict = json_value(message, "[chat] messages[" + std::to_string(i) + "]").dict();
    const Value* const role = dict.find(std::string_view("role"));
    const bool known =
        role != nullptr && role->is_text() &&
        std::find(kKnownRoles.begin(), kKnownRoles.end(), role->bytes()) != kKnownRoles.end();
    if (known) {
      dict.set_text(text_value("role", Origin::data), text_value(role->bytes(), Origin::written));
    }
    list.depth = std::max(list.depth, dict.depth() + 1);
    list.items.push_back(
        Value(Value::Storage(std::make_shared<const jinja::Dict>(std::move(dict)))));
  }
  return Value(Value::Storage(std::make_shared<const jinja::Sequence>(std::move(list))));
}

Value objects_value(const OrderedJson& list, const std::string& what) {
  if (!list.is_null()) check_objects(list, what);
  return json_value(list, "[chat] " + what);
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

}  // namespace

OrderedJson chat_message(const std::string& role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

std::vector<int32_t> RenderedChat::encode(const Tokenizer& tokenizer) const {
  return tokenizer.encode(text, written);
}

ChatTemplate::ChatTemplate(const std::string& text, const std::string& source, SpecialTokens tokens,
                           const jinja::Limits& limits)
    : tokens_(std::move(tokens)), source_(source), limits_(limits) {
  add("default", text, source);
}

void ChatTemplate::add(const std::string& name, const std::string& text,
                       const std::string& source) {
  LG_CHECK(text.size() <= kMaxTemplateBytes, source, ": expected a chat template of at most ",
           kMaxTemplateBytes, " bytes, found ", text.size(), ".");
  templates_.insert_or_assign(name, jinja::Template(text, source));
  if (name == "default") text_ = text;
}

const jinja::Template& ChatTemplate::choose(bool with_tools) const {
  const auto tool_use = with_tools ? templates_.find("tool_use") : templates_.end();
  if (tool_use != templates_.end()) return tool_use->second;
  const auto usual = templates_.find("default");
  LG_CHECK(usual != templates_.end(), source_,
           ": expected a chat template named default among its templates.");
  return usual->second;
}

RenderedChat ChatTemplate::render(const ChatRequest& request) const {
  jinja::Variables variables;
  for (const auto& [name, token] : tokens_) variables[name] = text_value(token, Origin::written);
  LG_CHECK(request.variables.is_object(), "[chat] variables: expected an object, found ",
           shown(request.variables), ".");
  for (const auto& [name, value] : request.variables.items()) {
    const bool taken = name == "messages" || name == "tools" || name == "documents" ||
                       name == "add_generation_prompt";
    LG_CHECK(!taken, "[chat] variables: ", name, " is given apart from them.");
    variables[name] = json_value(value, "[chat] variables." + name);
  }
  variables["messages"] = messages_value(request.messages);
  variables["tools"] = objects_value(request.tools, "tools");
  variables["documents"] = objects_value(request.documents, "documents");
  variables["add_generation_prompt"] = Value(request.add_generation_prompt);
  const Text text =
      choose(!request.tools.is_null()).render(variables, now_.value_or(local_time()), limits_);
  return {text.bytes(), text.written()};
}

}  // namespace longgen
