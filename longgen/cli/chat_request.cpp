#include "longgen/cli/chat_request.h"

#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"

namespace longgen {

CLI::Option* add_template_args_option(CLI::App* app, std::string& template_args) {
  return app
      ->add_option("--template-args", template_args,
                   "variables of the chat template as a JSON object: {\"enable_thinking\": false}; "
                   "\"tools\" and \"documents\" are what templates know by these names")
      ->option_text("JSON");
}

ChatRequest chat_request(const std::string& template_args) {
  ChatRequest request{.add_generation_prompt = true};
  if (template_args.empty()) return request;
  request.variables = parse_ordered_json(template_args, "--template-args");
  LG_CHECK(request.variables.is_object(), "--template-args: expected a JSON object, found ",
           dump_json(request.variables).substr(0, 60), ".");
  using Field = std::pair<const char*, OrderedJson*>;
  for (const auto& [name, field] :
       {Field{"tools", &request.tools}, Field{"documents", &request.documents}}) {
    const auto given = request.variables.find(name);
    if (given == request.variables.end()) continue;
    *field = *given;
    request.variables.erase(given);
  }
  return request;
}

}  // namespace longgen
