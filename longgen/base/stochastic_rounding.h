// base/stochastic_rounding.h: fp32 to bf16, up or down at random; the same bits on the CPU and the
// GPU. No torch here: kernels include it.
#pragma once

#include <cstdint>

#include "longgen/base/random.h"

namespace longgen {

/// Gives 64 uniform bits for element `index` of the stream `key`: a function of the two alone,
/// whatever thread asks, so that a run can be repeated and resumed.
constexpr uint64_t element_bits(uint64_t key, int64_t index) {
  return mix_bits(key + (static_cast<uint64_t>(index) + 1) * 0x9E3779B97F4A7C15u);
}

/// Rounds fp32 (as bits) to bf16 (as bits): to the neighbour above with the probability of the
/// share of the way to it, so that the mean is exact however small the addend was. The lower 16
/// bits of `random` count. Infinities and NaNs stay what they are.
constexpr uint16_t stochastic_bf16(uint32_t fp32_bits, uint64_t random) {
  const bool finite = (fp32_bits & 0x7F800000u) != 0x7F800000u;
  const uint32_t up = finite ? static_cast<uint32_t>(random) & 0xFFFFu : 0;
  return static_cast<uint16_t>((fp32_bits + up) >> 16);  // a bf16 is the upper half of an fp32
}

}  // namespace longgen
