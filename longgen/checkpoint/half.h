// checkpoint/half.h: 16-bit floats to fp32 and back, without hardware support.
#pragma once

#include <bit>
#include <cstdint>

namespace longgen {

/// Converts exactly. Masks instead of branches let the compiler vectorise loops over this.
inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  constexpr uint32_t kRebias = 112u << 23;  // 127 - 15 in the exponent's place
  // Infinity and NaN have all exponent bits set in both: 31 + 112 + 112 is 255.
  const uint32_t special = magnitude >= 0x7c00u ? kRebias : 0u;
  const uint32_t normal = (magnitude << 13) + kRebias + special;
  // A subnormal is its mantissa times 2^-24.
  const auto subnormal =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t is_subnormal = magnitude < 0x0400u ? ~0u : 0u;
  return std::bit_cast<float>(sign | (subnormal & is_subnormal) | (normal & ~is_subnormal));
}

/// Rounds to nearest, ties to even. Beyond the largest half (65504, with its half step) gives
/// infinity; NaN stays NaN.
inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x47800000u) return sign | 0x7c00u;  // 65536 and above
  if (magnitude < 0x38800000u) {                        // below 2^-14: subnormal or zero
    // Adding 0.5 puts one half ulp of the subnormals (2^-24) at the float's last bit: the sum
    // rounds to nearest even by itself.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0x0fffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

/// Converts exactly.
inline float bf16_to_f32(uint16_t brain) {
  return std::bit_cast<float>(static_cast<uint32_t>(brain) << 16);
}

/// Rounds to the nearest, ties to even; NaN stays NaN.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace longgen
