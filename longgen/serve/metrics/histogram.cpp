#include "longgen/serve/metrics/histogram.h"

#include <algorithm>
#include <numeric>

namespace longgen {

void Histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  sum_ += value;
}

std::vector<int64_t> Histogram::cumulative() const {
  std::vector<int64_t> result(counts_.size());
  std::partial_sum(counts_.begin(), counts_.end(), result.begin());
  return result;
}

}  // namespace longgen
