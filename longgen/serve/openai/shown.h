// serve/openai/shown.h: what a request holds, short enough for a message.
#pragma once

#include <string>
#include <string_view>

#include "longgen/base/json.h"

namespace longgen::openai {

/// Returns the text, or its first `max_bytes` and "...", never with half a character at the end.
std::string shortened(std::string_view text, size_t max_bytes = 60);

/// Writes a number, a truth value or a text as JSON, and of what holds others only how many.
std::string shown(const OrderedJson& value);

}  // namespace longgen::openai
