// report/rank_correlation.h: whether two figures put the same items first.
#pragma once

#include <span>

namespace longgen {

/// Gives Spearman's rank correlation of two figures of the same items, from -1 to 1; equal figures
/// share the mean of their ranks. NaN where either figure is the same for all items, or of fewer
/// than two. Throws Error unless both are equally many.
double rank_correlation(std::span<const double> first, std::span<const double> second);

}  // namespace longgen
