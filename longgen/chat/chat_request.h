// chat/chat_request.h: what a chat template is given beside the messages.
#pragma once

#include <string>

#include "longgen/chat/chat_template.h"

namespace longgen {

/// Makes a request without messages yet, for the assistant's next turn. `variables` is the text of
/// a JSON object, or empty: its members become variables of the template, "tools" and "documents"
/// what the request has of that name. Throws Error on anything else; `source` names the text there.
ChatRequest chat_request(const std::string& variables, const std::string& source);

}  // namespace longgen
