// cli/chat_request.h: what generate and chat give to a chat template beside the messages.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "longgen/chat/chat_template.h"

namespace longgen {

/// Adds --template-args JSON.
CLI::Option* add_template_args_option(CLI::App* app, std::string& template_args);

/// Makes a request without messages yet, for the assistant's next turn. `template_args` is a JSON
/// object or empty: its members become variables of the template, "tools" and "documents" what the
/// request has of that name. Throws Error on anything else.
ChatRequest chat_request(const std::string& template_args);

}  // namespace longgen
