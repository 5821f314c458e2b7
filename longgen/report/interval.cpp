#include "longgen/report/interval.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"

namespace longgen {

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

}  // namespace longgen
