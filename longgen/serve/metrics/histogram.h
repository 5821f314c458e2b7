// serve/metrics/histogram.h: how often values of what size came.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longgen {

/// Counts values by ascending bounds, as Prometheus has them. Not thread-safe.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {}

  void add(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  /// How many values are at most bounds()[i]; all of them at the end.
  std::vector<int64_t> cumulative() const;
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // up to each bound from the one before; then those above all
  double sum_ = 0;
};

}  // namespace longgen
