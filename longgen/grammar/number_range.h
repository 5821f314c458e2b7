// grammar/number_range.h: the texts of the numbers in a range.
#pragma once

#include <optional>
#include <string>

namespace longgen {

struct NumberBound {
  /// "12", "-0.5": without exponent.
  std::string text;
  bool is_exclusive = false;
};

/// EBNF of the numbers from `low` to `high`, of which at least one is given, written without
/// exponent and leading zeros. Whole ones only where is_integer, which needs bounds that are whole.
/// nullopt where there are none.
std::optional<std::string> number_range_ebnf(const std::optional<NumberBound>& low,
                                             const std::optional<NumberBound>& high,
                                             bool is_integer);

}  // namespace longgen
