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

}  // namespace longgen
