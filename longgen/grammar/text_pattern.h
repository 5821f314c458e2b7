// grammar/text_pattern.h: regular expressions of JSON Schema, for texts inside JSON strings.
#pragma once

#include <string>
#include <string_view>

#include "longgen/grammar/ebnf_rules.h"

namespace longgen {

/// EBNF of what stands between the quotes of a JSON string that the pattern matches. Where a side
/// has no anchor, anything may stand there. The language is that of ECMA-262 without what looks
/// around or back; classes are those of ASCII, and of characters that a class does not name (".",
/// "[^a]") those come that JSON writes as they are. Throws SchemaError with the path on anything
/// that it cannot do.
std::string text_pattern_ebnf(std::string_view pattern, const std::string& path, EbnfRules& rules);

}  // namespace longgen
