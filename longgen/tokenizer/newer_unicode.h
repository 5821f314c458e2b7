// tokenizer/newer_unicode.h: the characters that came with Unicode 15.0, 15.1 and 16.0.
// Debian's PCRE2 knows Unicode 14 and its utf8proc 15; the tokenizers that models were trained with
// know 16. Without these 10,301 characters (most of them CJK extensions H and I) \p{L} would not
// mean the same.
#pragma once

#include <cstdint>
#include <span>

namespace longgen {

struct NewerRange {
  uint32_t first, last;  ///< code points, both inside
  char category[2];      ///< general category, as "Lo"
};

/// Returns the ranges in ascending order, without overlaps.
std::span<const NewerRange> newer_unicode_ranges();

/// Returns the range that holds a code point, or nullptr.
const NewerRange* find_newer_range(uint32_t code_point);

}  // namespace longgen
