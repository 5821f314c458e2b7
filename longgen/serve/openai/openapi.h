// serve/openai/openapi.h: the API's own description.
#pragma once

#include <string>

#include "longgen/serve/openai/requests.h"

namespace longgen::openai {

/// Writes openapi.json (OpenAPI 3.1). Requests are described by the tables that read them
/// (openai/fields.h), so that it says what is true of this server, its vocabulary included.
std::string openapi_json(const ReadLimits& limits);

}  // namespace longgen::openai
