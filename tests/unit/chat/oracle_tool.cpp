// oracle_tool.cpp: our chat templates behind JSON lines, so that Python can hold them against
// transformers and jinja2. One request a line:
//   {"template": TEXT, or "directory": PATH, "messages": [...], "tools", "documents", "variables",
//    "add_generation_prompt", "tokens": {"bos_token": ...}, "tokenizer": PATH}
// gives {"text": ..., "written": [[begin, end]...]}, with a tokenizer "ids" and "stop" too, or
// {"error": ...}. "raw": {...} renders the template with these variables alone. The clock stands at
// 2026-07-04 15:09:08.
#include <cstdio>
#include <iostream>
#include <string>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/chat/chat_template.h"
#include "longgen/chat/json_value.h"
#include "tests/unit/chat/test_time.h"

namespace longgen {
namespace {

OrderedJson member(const OrderedJson& request, const char* name, OrderedJson fallback = nullptr) {
  return request.contains(name) ? request[name] : std::move(fallback);
}

ChatTemplate chat_template(const OrderedJson& request) {
  if (request.contains("directory")) {
    return ChatTemplate::load(request["directory"].get<std::string>());
  }
  ChatTemplate::SpecialTokens tokens;
  const OrderedJson given = member(request, "tokens", OrderedJson::object());
  for (const auto& [name, token] : given.items()) {
    tokens[name] = token.get<std::string>();
  }
  return ChatTemplate(request["template"].get<std::string>(), "chat_template.jinja",
                      std::move(tokens));
}

OrderedJson render_raw(const OrderedJson& request) {
  const jinja::Template raw(request["template"].get<std::string>(), "chat_template.jinja");
  jinja::Variables variables;
  for (const auto& [name, value] : request["raw"].items()) {
    variables[name] = json_value(value, "raw");
  }
  return {{"text", raw.render(variables, test_time()).bytes()}};
}

OrderedJson answer(const OrderedJson& request) {
  if (request.contains("raw")) return render_raw(request);
  ChatTemplate chat = chat_template(request);
  chat.set_now(test_time());
  const RenderedChat rendered =
      chat.render({.messages = request["messages"],
                   .tools = member(request, "tools"),
                   .documents = member(request, "documents"),
                   .variables = member(request, "variables", OrderedJson::object()),
                   .add_generation_prompt = member(request, "add_generation_prompt", false)});
  OrderedJson written = OrderedJson::array();
  for (const ByteRange& range : rendered.written) written.push_back({range.begin, range.end});
  OrderedJson result = {{"text", rendered.text}, {"written", written}};
  if (request.contains("tokenizer")) {
    const Tokenizer tokenizer = Tokenizer::load(request["tokenizer"].get<std::string>());
    result["ids"] = rendered.encode(tokenizer);
    result["stop"] = chat.stop_tokens(tokenizer);
  }
  return result;
}

int run() {
  for (std::string line; std::getline(std::cin, line);) {
    OrderedJson result;
    try {
      result = answer(parse_ordered_json(line, "stdin"));
    } catch (const Error& error) {
      result = {{"error", error.what()}};
    }
    std::cout << dump_json(result) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace longgen

int main() {
  std::ios::sync_with_stdio(false);
  try {
    return longgen::run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
