#include "longgen/report/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Gives each value its rank from 0 on, less the mean of all ranks.
std::vector<double> centred_ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  const double middle = (static_cast<double>(values.size()) - 1) / 2;
  for (size_t first = 0; first < order.size();) {
    size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double rank = static_cast<double>(first + end - 1) / 2 - middle;
    for (; first < end; ++first) ranks[order[first]] = rank;
  }
  return ranks;
}

}  // namespace

double rank_correlation(std::span<const double> first, std::span<const double> second) {
  LG_CHECK(first.size() == second.size(), "[rank_correlation] expected as many figures as ",
           first.size(), ", found ", second.size(), ".");
  const std::vector<double> a = centred_ranks(first), b = centred_ranks(second);
  const double product = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  return product / std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0) *
                             std::inner_product(b.begin(), b.end(), b.begin(), 0.0));
}

}  // namespace longgen
