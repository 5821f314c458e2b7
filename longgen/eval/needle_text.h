// eval/needle_text.h: what `longgen eval needle` prints of the difference of two models.
#pragma once

#include <string>

#include "longgen/eval/needle_report.h"

namespace longgen {

/// Writes, for each length and for all, how many percent points more needles `grid` has than
/// `first`, with its interval.
std::string needle_difference_text(const NeedleGrid& first, const NeedleGrid& grid);

/// Writes a difference of shares in points: "-15.0 (-24.1 to -5.3)".
std::string points_text(const PairedDifference& difference);

}  // namespace longgen
