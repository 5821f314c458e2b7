// bench/load/distribution.h: many times, as a few numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace longgen {

/// Quantiles are values that were measured: p99 is the least one that 99% are not above. Of nothing
/// all are 0.
struct Distribution {
  int64_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, worst = 0;
};

Distribution distribution_of(std::vector<double> values);

/// The least of `sorted` values that this share of them is not above; 0 < share <= 1.
double quantile(const std::vector<double>& sorted, double share);

}  // namespace longgen
