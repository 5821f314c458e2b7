// serve/answer_grammar.h: the form that a request demands of its answer, as a grammar.
#pragma once

#include <string>

#include "longgen/serve/openai/requests.h"
#include "longgen/serve/openai/tool_calls.h"

namespace longgen {

/// A longer schema is refused before it is looked into.
inline constexpr size_t kMostSchemaBytes = size_t{64} << 10;

/// EBNF (grammar/ebnf_rules.h); empty for text. Throws ApiError naming the part of the schema that
/// is wrong, not supported or too large.
std::string format_grammar(const openai::ResponseFormat& format);

/// EBNF of the calls that tool_choice demands, as the model writes them: of the function that it
/// names one, of any functions one or more. Empty where none is demanded. Throws as above.
std::string call_grammar(const openai::ChatCompletionRequest& request, openai::ToolFormat format);

}  // namespace longgen
