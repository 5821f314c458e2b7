// base/nearest_name.h: what a misspelt name was likely meant to be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
/// Takes time and memory of the product and the sum of both sizes.
int64_t edit_distance(std::string_view a, std::string_view b);

/// The one of `names` that is nearest to `word` by edit_distance(), where capitals do not count; of
/// equal ones the first. nullopt where even that takes more than one change for each three letters,
/// so that a name is never suggested for another word.
std::optional<std::string> nearest_name(std::string_view word,
                                        const std::vector<std::string>& names);

/// " Did you mean \"llama3-8b\"?", or nothing where no name is near: the end of a message.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

/// "a, b or c": the values of an enumeration in a message.
std::string listed_names(const std::vector<std::string>& names);

}  // namespace longgen
