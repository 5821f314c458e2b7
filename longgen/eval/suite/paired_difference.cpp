#include "longgen/eval/suite/paired_difference.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr double kNormal = 1.959963984540054;  // 97.5% quantile

/// The 97.5% quantile of Student's t: exact for 1 and 2 degrees of freedom, elsewhere Fisher's
/// expansion around the normal one, within 0.8%.
double student_quantile(int64_t degrees) {
  if (degrees == 1) return 12.706204736432095;
  if (degrees == 2) return 4.302652729911275;
  const auto v = static_cast<double>(degrees);
  const double z = kNormal, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
}

bool is_binary(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double x) { return x == 0 || x == 1; });
}

}  // namespace

std::optional<PairedDifference> paired_difference(std::span<const double> first,
                                                  std::span<const double> second) {
  LG_CHECK(first.size() == second.size(),
           "[paired_difference] expected as many scores of both, "
           "found ",
           first.size(), " and ", second.size(), ".");
  const auto n = static_cast<double>(first.size());
  if (n < 2) return std::nullopt;
  PairedDifference result{.num_items = static_cast<int64_t>(first.size()), .interval = {}};
  double sum = 0, squares = 0, better = 0, worse = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    const double difference = second[i] - first[i];
    sum += difference;
    better += difference > 0 ? 1 : 0;
    worse += difference < 0 ? 1 : 0;
  }
  result.mean = sum / n;
  double center = result.mean, half = 0;
  if (is_binary(first) && is_binary(second)) {
    const double more = (better + 1) / (n + 2), less = (worse + 1) / (n + 2);
    center = more - less;
    half = kNormal * std::sqrt((more + less - center * center) / (n + 2));
  } else {
    for (size_t i = 0; i < first.size(); ++i) {
      const double off = second[i] - first[i] - result.mean;
      squares += off * off;
    }
    half = student_quantile(result.num_items - 1) * std::sqrt(squares / (n - 1) / n);
  }
  result.standard_error = half / kNormal;
  result.interval = {center - half, center + half};
  return result;
}

PairedDifference average_difference(const std::vector<PairedDifference>& tasks) {
  LG_CHECK(!tasks.empty(), "[average_difference] expected at least one task, found none.");
  PairedDifference result{.interval = {}};
  double variance = 0;
  for (const PairedDifference& task : tasks) {
    result.num_items += task.num_items;
    result.mean += task.mean / static_cast<double>(tasks.size());
    variance += task.standard_error * task.standard_error;
  }
  result.standard_error = std::sqrt(variance) / static_cast<double>(tasks.size());
  const double half = kNormal * result.standard_error;
  result.interval = {result.mean - half, result.mean + half};
  return result;
}

}  // namespace longgen
