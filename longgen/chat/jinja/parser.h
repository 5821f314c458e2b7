// chat/jinja/parser.h: from the text of a template to its statements.
#pragma once

#include <string>
#include <string_view>

#include "longgen/chat/jinja/ast.h"

namespace longgen::jinja {

/// Throws Error "source:line: ..." on what is no template, on statements that are not supported
/// (each by name) and on nesting deeper than 200.
Block parse(std::string_view text, const std::string& source);

}  // namespace longgen::jinja
