// chat_fields.cpp: the fields of chat completions that completions do not have.
#include "longgen/serve/openai/fields.h"

namespace longgen::openai {
namespace {

constexpr size_t kMaxTools = 128;

struct FunctionInput {
  std::string name;
};

struct ToolInput {
  std::string type;
  FunctionInput function;
};

Rule<ToolInput> tool_rule() {
  const Rule<FunctionInput> function =
      FieldTable<FunctionInput>()
          .required("name", &FunctionInput::name, name(), "The function's name.")
          .ignored("description", text(), "What it does; the model reads it.")
          .ignored("parameters", any_object(),
                   "A JSON Schema of its arguments; the model reads it.")
          .ignored(
              "strict", boolean(),
              "The arguments of a call that tool_choice demands follow the schema in any case.")
          .rule();
  return FieldTable<ToolInput>()
      .required("type", &ToolInput::type, the_text("function"), "The kind of tool.")
      .required("function", &ToolInput::function, function, "The function.")
      .rule();
}

struct NamedFunction {
  std::string name;
};

struct NamedChoice {
  std::string type;
  NamedFunction function;
};

Rule<ToolChoice> tool_choice_rule() {
  static constexpr Choice<ToolChoiceKind, 3> kKinds = {{{{"none", ToolChoiceKind::none},
                                                         {"auto", ToolChoiceKind::automatic},
                                                         {"required", ToolChoiceKind::required}}}};
  const Rule<ToolChoiceKind> kind = one_of(kKinds);
  const Rule<NamedFunction> function =
      FieldTable<NamedFunction>()
          .required("name", &NamedFunction::name, name(), "The function to call.")
          .rule();
  const Rule<NamedChoice> named =
      FieldTable<NamedChoice>()
          .required("type", &NamedChoice::type, the_text("function"), "The kind of tool.")
          .required("function", &NamedChoice::function, function, "The function.")
          .rule();
  return {{{"anyOf", {kind.schema, named.schema}}},
          [kind = kind.read, named = named.read](const Input& input) -> ToolChoice {
            if (!input.json().is_object()) return {kind(input), ""};
            return {ToolChoiceKind::function, named(input).function.name};
          }};
}

struct TemplateVariables {
  OrderedJson values = OrderedJson::object();
};

/// A field of chat_template_kwargs, kept under its own name.
template <typename T>
void allow(FieldTable<TemplateVariables>& table, const std::string& name, const Rule<T>& rule,
           const std::string& sentence) {
  table.add({name, field_schema(rule.schema, sentence, true),
             [name, read = rule.read](const Input& input, TemplateVariables& variables) {
               variables.values[name] = read(input);
             }});
}

}  // namespace

Rule<OrderedJson> tools_rule() {
  const Rule<std::vector<ToolInput>> tools = list(tool_rule(), 1, kMaxTools);
  return {tools.schema, [read = tools.read](const Input& input) {
            const std::vector<ToolInput> found = read(input);
            for (size_t i = 0; i < found.size(); ++i) {
              for (size_t j = 0; j < i; ++j) {
                if (found[i].function.name != found[j].function.name) continue;
                refuse_at(input.item(i).path_of("function") + ".name",
                          "the function \"" + found[i].function.name + "\" stands here twice.");
              }
            }
            return input.json();
          }};
}

Rule<OrderedJson> template_variables_rule() {
  FieldTable<TemplateVariables> table;
  allow(table, "enable_thinking", boolean(), "Whether the model thinks before it answers.");
  allow(table, "thinking", boolean(), "The same, as other templates call it.");
  allow(table, "reasoning_effort", text(1, 32), "How much it thinks.");
  allow(table, "date_string", text(1, 64), "The date that the template tells the model.");
  allow(table, "tools_in_user_message", boolean(), "Where Llama's template puts the tools.");
  const Rule<TemplateVariables> rule = table.rule();
  return {rule.schema, [read = rule.read](const Input& input) { return read(input).values; }};
}

FieldTable<ChatCompletionRequest> chat_fields(const ReadLimits& limits) {
  using R = ChatCompletionRequest;
  FieldTable<R> table;
  table.required("messages", &R::messages, messages_rule(), "The conversation so far.")
      .with(generation_fields(limits))
      .optional("max_completion_tokens", &R::max_completion_tokens, integer(1, INT32_MAX),
                "The most tokens to generate; without it, as many as there is room for.")
      .optional("max_tokens", &R::max_tokens, integer(1, INT32_MAX),
                "The older name of max_completion_tokens.")
      .optional("logprobs", &R::logprobs, boolean(), "Gives the tokens' log probabilities.")
      .optional("top_logprobs", &R::top_logprobs, integer(0, 20),
                "And those of so many best ones at each place; only with logprobs.")
      .optional("tools", &R::tools, tools_rule(), "Functions that the model may call.")
      .optional("tool_choice", &R::tool_choice, tool_choice_rule(),
                "\"auto\", \"none\", \"required\", or the function that must be called.")
      .optional("chat_template_kwargs", &R::template_variables, template_variables_rule(),
                "Variables of the model's chat template.")
      .fixed("parallel_tool_calls", true, "The model may call several functions at once.")
      .fixed("store", false, "Answers are not stored.")
      .fixed("modalities", OrderedJson::array({"text"}), "Answers are text.")
      .refused("reasoning_effort", "Use chat_template_kwargs, if the model's template reads it.")
      .refused("functions", "Use tools.")
      .refused("function_call", "Use tool_choice.")
      .refused("audio", "Answers are text.")
      .refused("prediction", "Send the request without it.")
      .refused("web_search_options", "Use tools.")
      .refused("chat_template", "The model's own chat template is used.")
      .refused("documents", "Put them into a message.")
      .refused("continue_final_message", "Use /v1/completions.")
      .refused("add_generation_prompt", "The answer always begins a turn of the assistant.");
  return table;
}

}  // namespace longgen::openai
