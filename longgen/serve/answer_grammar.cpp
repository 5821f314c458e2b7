#include "longgen/serve/answer_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/grammar/schema_error.h"
#include "longgen/grammar/schema_rules.h"
#include "longgen/serve/openai/input.h"

namespace longgen {
namespace {

/// Adds the rules of a schema that stands at `path` of the request, and returns the first one's
/// name.
std::string schema_rule(const OrderedJson& schema, const std::string& path, EbnfRules& rules) {
  const size_t num_bytes = dump_json(schema).size();
  if (num_bytes > kMostSchemaBytes) {
    openai::refuse_at(path, detail::concat("expected a schema of at most ", kMostSchemaBytes,
                                           " bytes, found ", num_bytes, "."));
  }
  return add_schema(schema, path, rules);
}

/// Has `make` write a grammar into rules; what is wrong with a schema becomes an ApiError.
template <typename Make>
std::string grammar(const std::string& path, const Make& make) {
  try {
    EbnfRules rules;
    const std::string root = make(rules);
    return rules.text(root);
  } catch (const SchemaError& error) {
    openai::refuse_at(error.path().empty() ? path : error.path(), error.what());
  }
}

/// Arguments are an object, whatever else the schema says; without one there are none.
std::string arguments_rule(const OrderedJson& function, const std::string& path, EbnfRules& rules) {
  const auto found = function.find("parameters");
  if (found == function.end() || found->is_null()) return "\"{}\"";
  OrderedJson schema = *found;
  const auto type = schema.find("type");
  if (type != schema.end() && *type != "object") {
    openai::refuse_at(path + ".type", "expected \"object\": the arguments of a function are one.");
  }
  if (type == schema.end() && !schema.contains("$ref")) schema["type"] = "object";
  return schema_rule(schema, path, rules);
}

std::string one_call(const std::string& name, const std::string& arguments,
                     openai::ToolFormat format) {
  const std::string quoted = dump_json(OrderedJson(name));
  if (format == openai::ToolFormat::hermes) {
    return ebnf_literal("<tool_call>\n{\"name\": " + quoted + ", \"arguments\": ") + " " +
           arguments + " " + ebnf_literal("}\n</tool_call>");
  }
  return ebnf_literal("{\"name\": " + quoted + ", \"parameters\": ") + " " + arguments + " \"}\"";
}

}  // namespace

std::string format_grammar(const openai::ResponseFormat& format) {
  switch (format.kind) {
    case openai::FormatKind::text:
      return "";
    case openai::FormatKind::json_object:
      return EbnfRules().text(EbnfRules::kObject);
    case openai::FormatKind::json_schema:
      break;
  }
  const std::string path = "response_format.json_schema.schema";
  const OrderedJson schema = parse_ordered_json(format.schema, path);
  return grammar(path, [&](EbnfRules& rules) { return schema_rule(schema, path, rules); });
}

std::string call_grammar(const openai::ChatCompletionRequest& request, openai::ToolFormat format) {
  const openai::ToolChoice choice = request.tool_choice.value_or(openai::ToolChoice{});
  const bool is_one = choice.kind == openai::ToolChoiceKind::function;
  if (!is_one && choice.kind != openai::ToolChoiceKind::required) return "";
  const std::vector<std::string> callable = request.callable();
  return grammar("tools", [&](EbnfRules& rules) {
    std::vector<std::string> calls;
    for (size_t i = 0; i < request.tools.size(); ++i) {
      const OrderedJson& function = request.tools[i]["function"];
      const auto name = function["name"].get<std::string>();
      if (std::count(callable.begin(), callable.end(), name) == 0) continue;
      const std::string path = fmt::format("tools[{}].function.parameters", i);
      calls.push_back(one_call(name, arguments_rule(function, path, rules), format));
    }
    const std::string call = rules.add(fmt::format("{}", fmt::join(calls, " | ")));
    if (is_one) return call;
    const char* const between = format == openai::ToolFormat::hermes ? "\n" : "; ";
    return fmt::format("{} ({} {})*", call, ebnf_literal(between), call);
  });
}

}  // namespace longgen
