// serve/openai/bounded_json.h: JSON from strangers, whose parts are counted before any is kept.
#pragma once

#include <string>
#include <string_view>

#include "longgen/base/ordered_json.h"

namespace longgen::openai {

/// What one text may hold. The values of a body of 64 MiB could otherwise take a gigabyte, and
/// finding double fields takes time with the square of an object's fields.
struct JsonLimits {
  int64_t depth = 64;
  int64_t values = int64_t{1} << 22;  ///< in lists: the ids of prompts are the most
  int64_t fields = int64_t{1} << 18;  ///< of all objects together
  int64_t object_fields = 1024;
};

/// Does what parse_ordered_json() does, after the limits are checked in one pass over the bytes.
/// Throws Error naming `source` and the limit.
OrderedJson parse_bounded_json(std::string_view text, const std::string& source,
                               const JsonLimits& limits = {});

}  // namespace longgen::openai
