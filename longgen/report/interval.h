// report/interval.h: how sure a figure is.
#pragma once

#include <cstdint>

namespace longgen {

/// The 97.5% quantile of the normal distribution: 95% of its draws are as near to the mean.
inline constexpr double kNormal95 = 1.959963984540054;

struct Interval {
  double low = 0, high = 0;
};

/// Gives the 95% interval of a share of which `successes` of `n` trials were seen (Wilson's score
/// interval: unlike the normal one it stays within [0, 1] and is right for 0 or n successes too). n
/// == 0 gives [0, 1]. Throws Error unless 0 <= successes <= n.
Interval wilson_interval(int64_t successes, int64_t n);

/// Gives the 97.5% quantile of Student's t, by which a mean of `degrees` + 1 draws is surrounded
/// for 95%: 12.706 for 1, 2.228 for 10. It is exact to 1e-9. Throws Error unless degrees >= 1.
double student95(int64_t degrees);

}  // namespace longgen
