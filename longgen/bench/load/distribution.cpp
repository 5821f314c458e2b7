#include "longgen/bench/load/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace longgen {
namespace {

// 0.99 * 100 is a little above 99 in binary.
constexpr double kRounding = 1e-9;

}  // namespace

double quantile(const std::vector<double>& sorted, double share) {
  const double place = std::ceil(share * static_cast<double>(sorted.size()) - kRounding);
  return sorted[static_cast<size_t>(std::max(place, 1.0)) - 1];
}

Distribution distribution_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {.count = std::ssize(values),
          .mean = sum / static_cast<double>(values.size()),
          .p50 = quantile(values, 0.5),
          .p90 = quantile(values, 0.9),
          .p99 = quantile(values, 0.99),
          .worst = values.back()};
}

}  // namespace longgen
