// data/json_line.h: what to make of a line of JSONL that simdjson does not read.
#pragma once

#include <string>
#include <string_view>

namespace longgen {

/// Gives the line with 0 in place of each number outside its strings. JSON has no largest number,
/// but simdjson reads integers of at most 64 bits and floats of at most 1.8e308. What is no JSON
/// number (NaN, 01, 1.) stays, so that a line that was no JSON is none afterwards.
std::string with_zeros_for_numbers(std::string_view line);

/// Says why a line is not one JSON value, in words for whoever wrote the file. `parser_reason` is
/// the parser's own, for what has no better one.
std::string why_not_json(std::string_view line, std::string_view parser_reason);

}  // namespace longgen
