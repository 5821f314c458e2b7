// serve/openai/answer_schemas.h: what the server's answers look like, as JSON Schema.
#pragma once

namespace longgen::openai {

/// The text of a JSON object: schemas by name, which refer to each other as components of
/// openapi.json. Tests hold responses.cpp against them.
extern const char* const kAnswerSchemas;

}  // namespace longgen::openai
