// chat/jinja/text_tools.h: what the methods of str and the filters of texts share.
#pragma once

#include <string>
#include <string_view>

#include "longgen/chat/jinja/runtime.h"

namespace longgen::jinja {

enum class Side { left, right, both };

/// Without white space at the sides, or without the characters of `characters`.
Text stripped(const Text& text, Side side, const Text* characters = nullptr);
/// Replaces the first `count` occurrences, all where it is negative.
Text replaced(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count);
/// str.splitlines().
std::vector<Text> lines(Runtime& runtime, const Text& text, bool keep_ends);
/// At least `width` characters, filled up on one side or on both, as str.center() does.
Text padded(Runtime& runtime, const Text& text, int64_t width, std::string_view fill, Side side);
/// The items, which must be strings, with `separator` between them.
Text joined(Runtime& runtime, const Text& separator, const Values& items);

/// str.isupper() or str.islower().
bool all_cased(const Text& text, bool upper_case);

Text to_upper(Runtime& runtime, const Text& text);
Text to_lower(Runtime& runtime, const Text& text);
/// The first character in upper case, the others in lower case.
Text capitalized(Runtime& runtime, const Text& text);

}  // namespace longgen::jinja
