// tokenizer/token_places.h: which bytes of a text a token stands for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "longgen/tokenizer/bpe_model.h"
#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// Appends for each id the bytes of the text that it stands for. The ids are those that
/// pre-tokenizer and model gave for the text, in order. White space that the pre-tokenizer removed
/// belongs to no id; of a space or "▁" that it put in, the id has no bytes. Throws Error where an
/// id is not what the text has next: an unknown token, or a character that was left out.
void append_places(std::string_view text, std::span<const int32_t> ids, const BpeModel& model,
                   std::vector<ByteRange>& places);

/// Makes of ranges of a text after the edits, whose beginnings and ends ascend, those of the text
/// before them. New bytes of an edit stand for all that it replaced.
void move_back(std::span<ByteRange> ranges, std::span<const TextEdit> edits);

}  // namespace longgen
