// data/answer_ranges.h: the field "answers" of a line of JSONL.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// Reads a list of [begin, end), bytes of `text`, in ascending order and between characters.
/// Returns what is wrong with it, or nothing.
std::string read_answers(const simdjson::dom::element& field, std::string_view text,
                         std::vector<ByteRange>& answers);

}  // namespace longgen
