#include "longgen/serve/openai/requests.h"

namespace longgen::openai {

ChatRequest ChatCompletionRequest::template_request() const {
  const bool with_tools = !tool_choice || tool_choice->kind != ToolChoiceKind::none;
  return {.messages = messages,
          .tools = with_tools ? tools : OrderedJson(nullptr),
          .variables = template_variables,
          .add_generation_prompt = true};
}

std::vector<std::string> ChatCompletionRequest::callable() const {
  std::vector<std::string> names;
  const ToolChoice choice = tool_choice.value_or(ToolChoice{});
  if (choice.kind == ToolChoiceKind::none) return names;
  for (const OrderedJson& tool : tools) {
    const auto& name = tool["function"]["name"].get_ref<const std::string&>();
    if (choice.kind != ToolChoiceKind::function || choice.function == name) names.push_back(name);
  }
  return names;
}

ChatRequest TokenizeRequest::template_request() const {
  return {.messages = messages,
          .tools = tools,
          .variables = template_variables,
          .add_generation_prompt = add_generation_prompt};
}

}  // namespace longgen::openai
