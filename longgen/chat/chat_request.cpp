#include "longgen/chat/chat_request.h"

#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"

namespace longgen {

ChatRequest chat_request(const std::string& variables, const std::string& source) {
  ChatRequest request{.add_generation_prompt = true};
  if (variables.empty()) return request;
  request.variables = parse_ordered_json(variables, source);
  LG_CHECK(request.variables.is_object(), source, ": expected a JSON object, found ",
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
