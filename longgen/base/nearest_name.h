// base/nearest_name.h: what a misspelt name was likely meant to be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn one text into
/// the other. It takes time in proportion to the product of both sizes, and memory to their sum.
int64_t edit_distance(std::string_view a, std::string_view b);

/// Returns the one of `names` that is nearest to `word` by edit_distance(), where capitals do not
/// count; of equal ones the first. Returns nullopt where even that takes more than one change for
/// each three letters, so that a name is never suggested for another word.
std::optional<std::string> nearest_name(std::string_view word,
                                        const std::vector<std::string>& names);

/// Ends a message: returns " Did you mean \"llama3-8b\"?", or nothing where no name is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

/// Returns "a, b or c", as a message lists the values of an enumeration.
std::string listed_names(const std::vector<std::string>& names);

}  // namespace longgen
