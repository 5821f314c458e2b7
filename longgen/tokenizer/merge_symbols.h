// tokenizer/merge_symbols.h: merges the symbols of a word into its tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longgen/tokenizer/pair_table.h"

namespace longgen {

/// Merges neighbouring symbols in place, always the pair of the lowest rank, the leftmost of
/// equals, until no pair has a merge. Returns how many symbols are left; they stand at the front.
/// Takes O(n log n) steps for n symbols.
size_t merge_symbols(std::span<int32_t> symbols, const PairTable& merges);

}  // namespace longgen
