// Layouts worked out by hand on one block each; tests/unit/checkpoint/gguf_oracle_test.py compares
// random blocks and a real model with PyPI gguf.
#include "longgen/checkpoint/dequantize.h"

#include <cmath>
#include <limits>

#include "longgen/checkpoint/half.h"
#include "test_support.h"

namespace longgen {
namespace {

std::vector<float> expand(GgmlType type, const std::string& bytes, size_t num_elements) {
  std::vector<float> out(num_elements, -1e9f);
  dequantize(type, bytes, out);
  return out;
}

std::string half(float value) { return raw(f32_to_f16(value)); }

TEST(DequantizeTest, PlainFloats) {
  EXPECT_EQ(expand(GgmlType::f32, raw(1.25f) + raw(-3.0f), 2), (std::vector<float>{1.25f, -3.0f}));
  EXPECT_EQ(expand(GgmlType::f16, half(1.25f) + half(-3.0f), 2),
            (std::vector<float>{1.25f, -3.0f}));
  EXPECT_EQ(expand(GgmlType::bf16, raw(f32_to_bf16(-3.0f)), 1), std::vector<float>{-3.0f});
  EXPECT_TRUE(expand(GgmlType::q8_0, "", 0).empty());
}

TEST(DequantizeTest, FourBitsHoldElementIAndElementIPlus16) {
  std::string packed(16, '\x08');
  packed[2] = '\x5f';  // element 2: 15, element 18: 5; all others: 8 and 0
  const std::vector<float> centred = expand(GgmlType::q4_0, half(0.5f) + packed, 32);
  EXPECT_EQ(centred[2], 0.5f * (15 - 8));
  EXPECT_EQ(centred[18], 0.5f * (5 - 8));
  EXPECT_EQ(centred[0], 0.0f);
  const std::vector<float> shifted = expand(GgmlType::q4_1, half(0.5f) + half(10) + packed, 32);
  EXPECT_EQ(shifted[2], 0.5f * 15 + 10);
  EXPECT_EQ(shifted[18], 0.5f * 5 + 10);
  EXPECT_EQ(shifted[31], 10.0f);
}

TEST(DequantizeTest, TheFifthBitStandsInAWordOfItsOwn) {
  const std::string packed(16, '\0');
  const std::string fifth = raw(uint32_t{1} << 3 | uint32_t{1} << 20);
  const std::vector<float> centred = expand(GgmlType::q5_0, half(2) + fifth + packed, 32);
  const std::vector<float> shifted = expand(GgmlType::q5_1, half(2) + half(1) + fifth + packed, 32);
  for (size_t i = 0; i < 32; ++i) {
    const float q = i == 3 || i == 20 ? 16 : 0;
    EXPECT_EQ(centred[i], 2 * (q - 16)) << i;
    EXPECT_EQ(shifted[i], 2 * q + 1) << i;
  }
}

TEST(DequantizeTest, UnsupportedTypesAndWrongSizes) {
  std::vector<float> out(256);
  EXPECT_FALSE(can_dequantize(GgmlType::q2_k));
  EXPECT_TRUE(can_dequantize(GgmlType::q6_k));
  EXPECT_ERROR(dequantize(GgmlType::q2_k, std::string(84, '\0'), out),
               "[dequantize] tensor type Q2_K is not supported. Supported: F32, F16, BF16, Q8_0, "
               "Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K.");
  EXPECT_ERROR(dequantize(GgmlType::q8_0, std::string(34, '\0'), std::span(out).first(31)),
               "[dequantize] 31 elements are not a whole number of Q8_0 blocks of 32.");
  EXPECT_ERROR(dequantize(GgmlType::q8_0, std::string(33, '\0'), std::span(out).first(32)),
               "[dequantize] 32 elements of Q8_0 take 34 bytes, found 33.");
  EXPECT_ERROR(dequantize(static_cast<GgmlType>(99), "", out), "99 is no known tensor type.");
}

TEST(HalfTest, EveryHalfComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half_bits = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half_bits);
    if ((bits & 0x7fff) > 0x7c00) {
      ASSERT_TRUE(std::isnan(value) && std::isnan(f16_to_f32(f32_to_f16(value)))) << bits;
    } else {
      ASSERT_EQ(f32_to_f16(value), half_bits);
      const double mantissa = (bits & 0x3ff) + ((bits & 0x7c00) != 0 ? 1024 : 0);
      const int exponent = std::max<int>(1, static_cast<int>(bits >> 10 & 31)) - 25;
      const double expected = std::ldexp(mantissa, exponent);
      if ((bits & 0x7c00) != 0x7c00) {
        ASSERT_EQ(std::abs(value), expected) << bits;
      }
    }
  }
}

/// The two neighbours of every half's midpoint and the midpoint itself, which goes to the even one.
TEST(HalfTest, RoundsToNearestEven) {
  for (uint16_t low = 0; low < 0x7bff; ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const float middle = (f16_to_f32(low) + f16_to_f32(high)) / 2;  // exact in fp32
    const float below = std::nextafter(middle, 0.0f), above = std::nextafter(middle, 1e9f);
    ASSERT_EQ(f32_to_f16(middle), low % 2 == 0 ? low : high);
    ASSERT_EQ(f32_to_f16(below), low);
    ASSERT_EQ(f32_to_f16(above), high);
    ASSERT_EQ(f32_to_f16(-above), high | 0x8000);
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
}

TEST(HalfTest, BrainFloatsRoundToNearestEven) {
  for (uint32_t low = 0; low < 0x7f80; ++low) {
    const uint32_t middle = low << 16 | 0x8000;
    const auto rounded = [](uint32_t bits) { return f32_to_bf16(std::bit_cast<float>(bits)); };
    ASSERT_EQ(rounded(middle), low + low % 2);
    ASSERT_EQ(rounded(middle - 1), low);
    ASSERT_EQ(rounded(middle + 1), low + 1);
    ASSERT_EQ(rounded(low << 16), low);
    ASSERT_EQ(std::bit_cast<uint32_t>(bf16_to_f32(static_cast<uint16_t>(low))), low << 16);
  }
  const float nan = std::bit_cast<float>(0x7f800001u);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
  EXPECT_EQ(f32_to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
}

}  // namespace
}  // namespace longgen
