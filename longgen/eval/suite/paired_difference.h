// eval/suite/paired_difference.h: how much two models differ on the same items, and how sure it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "longgen/report/interval.h"

namespace longgen {

struct PairedDifference {
  int64_t num_items = 0;
  double mean = 0;            ///< of second - first
  double standard_error = 0;  ///< half the interval's width, divided by 1.96
  Interval interval;          ///< 95%
};

/// Compares scores of the same items. Where all are 0 or 1 the interval is Bonett and Price's for
/// paired proportions (J. Educ. Behav. Stat. 37, 2012), which has a width even where the models
/// agree on every item; otherwise Student's of the items' differences. Nothing for fewer than two
/// items. Throws Error unless both are equally many.
std::optional<PairedDifference> paired_difference(std::span<const double> first,
                                                  std::span<const double> second);

/// The difference of averages over tasks with items of their own (normal approximation).
PairedDifference average_difference(const std::vector<PairedDifference>& tasks);

}  // namespace longgen
