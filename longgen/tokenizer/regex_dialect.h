// tokenizer/regex_dialect.h: from the regex dialect of tokenizer.json to PCRE2's.
// PyPI tokenizers runs its patterns with Oniguruma (Ruby syntax, Unicode 16). PCRE2 reads almost
// all of that alike; what it reads differently is rewritten here, or refused, so that a pattern
// never means something else quietly.
#pragma once

#include <string>
#include <string_view>

namespace longgen {

/// Rewrites \s \S \d \D \w \W \v \u{...} and \p{L} \p{N} ... (to Unicode 16). Throws Error starting
/// with `where`, naming the construct, on anything outside: groups (?: (?= (?! (?<= (?<! (?> (?i:,
/// classes without nesting, quantifiers, escapes above and of punctuation.
std::string to_pcre2(std::string_view pattern, const std::string& where);

}  // namespace longgen
