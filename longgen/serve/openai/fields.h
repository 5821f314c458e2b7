// serve/openai/fields.h: the fields of the API. Reading, messages and openapi.json come from these.
#pragma once

#include "longgen/serve/openai/field_table.h"
#include "longgen/serve/openai/requests.h"

namespace longgen::openai {

/// What chat completions and completions share.
FieldTable<GenerationRequest> generation_fields(const ReadLimits& limits);
FieldTable<ChatCompletionRequest> chat_fields(const ReadLimits& limits);
FieldTable<CompletionRequest> completion_fields(const ReadLimits& limits);
FieldTable<TokenizeRequest> tokenize_fields();
FieldTable<DetokenizeRequest> detokenize_fields(const ReadLimits& limits);

/// The list of messages of a chat, as a template takes them.
Rule<OrderedJson> messages_rule();
/// The functions that a reply may call, each as the client wrote it.
Rule<OrderedJson> tools_rule();
/// The variables of templates that a client may set.
Rule<OrderedJson> template_variables_rule();

/// The name of a model, which each route has.
Rule<std::string> model_rule();
inline constexpr const char* kModelSentence =
    "The model's name, as /v1/models lists it; without it, the one that is served.";

}  // namespace longgen::openai
