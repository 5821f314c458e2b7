// data/sentences.h: where the sentences of a text begin and end.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// Prose rarely reaches this many bytes; a text without punctuation must not become one sentence.
inline constexpr int64_t kMaxSentenceBytes = 1000;

/// Gives the sentences of valid UTF-8, in order, without the white space between them; together
/// they hold everything else. A sentence ends at . ! ? and what closes a quotation, where white
/// space and no small letter follow, but not after initials and common abbreviations; at 。！？;
/// at a blank line; and after kMaxSentenceBytes at the latest, then at a space where there is one.
std::vector<ByteRange> find_sentences(std::string_view text);

}  // namespace longgen
