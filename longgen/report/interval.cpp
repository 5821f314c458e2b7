#include "longgen/report/interval.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Gives P(|T| < t) of Student's t with a whole number of degrees of freedom (Abramowitz and
/// Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4).
double student_within(double t, int64_t degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const bool odd = degrees % 2 == 1;
  const double cosine = std::cos(angle), sine = std::sin(angle);
  double term = odd ? cosine : 1, sum = 0;
  for (int64_t power = odd ? 1 : 0; power <= degrees - 2; power += 2) {
    sum += term;
    term *= cosine * cosine * static_cast<double>(power + 1) / static_cast<double>(power + 2);
  }
  return odd ? 2 / std::numbers::pi * (angle + sine * sum) : sine * sum;
}

}  // namespace

Interval wilson_interval(int64_t successes, int64_t n) {
  LG_CHECK(successes >= 0 && successes <= n, "[wilson_interval] expected 0 to ", n,
           " successes, found ", successes, ".");
  if (n == 0) return {0, 1};
  const auto trials = static_cast<double>(n);
  const double share = static_cast<double>(successes) / trials;
  const double z2 = kNormal95 * kNormal95;
  const double scale = 1 / (1 + z2 / trials);
  const double center = scale * (share + z2 / (2 * trials));
  const double half =
      scale * kNormal95 * std::sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials));
  return {successes == 0 ? 0 : std::max(0.0, center - half),
          successes == n ? 1 : std::min(1.0, center + half)};
}

double student95(int64_t degrees) {
  LG_CHECK(degrees >= 1, "[student95] expected at least 1 degree of freedom, found ", degrees, ".");
  constexpr int64_t kMany = 500;  // the expansion is exact to 1e-9 from here on
  if (degrees >= kMany) {         // Abramowitz and Stegun 26.7.5
    const auto v = static_cast<double>(degrees);
    const double z = kNormal95, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
    return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
           (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
  }
  double low = kNormal95, high = 13;  // one degree of freedom has 12.7
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (student_within(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return high;
}

}  // namespace longgen
