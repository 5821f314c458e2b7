#include "longgen/attention/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace longgen::cpu {
namespace {

/// Small whole numbers, which every order of sums and bf16 keep exact.
std::vector<float> numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> result(count);
  for (float& x : result) x = static_cast<float>(static_cast<int>(random() % 17) - 8);
  return result;
}

std::vector<uint16_t> as_bf16(const std::vector<float>& from) {
  std::vector<uint16_t> result;
  for (float x : from) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    result.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return result;
}

class TileKernelsTest : public testing::TestWithParam<const TileKernels*> {};

TEST_P(TileKernelsTest, MultiplyIsExactForWholeNumbers) {
  const int64_t k = 13;
  for (int64_t m : {1, 5, 6, 7, 19}) {
    for (int64_t n : {16, 48, 64, 80}) {
      const auto a = numbers(m * k, 1), b = numbers(k * n, 2), before = numbers(m * n, 3);
      const auto b_bf16 = as_bf16(b);
      for (bool is_bf16 : {false, true}) {
        for (bool accumulate : {false, true}) {
          auto c = before;
          const void* b_data = is_bf16 ? static_cast<const void*>(b_bf16.data()) : b.data();
          GetParam()->multiply(m, n, k, {a.data(), k, 1}, {b_data, n, is_bf16}, {c.data(), n},
                               accumulate);
          for (int64_t i = 0; i < m * n; ++i) {
            float sum = accumulate ? before[i] : 0;
            for (int64_t j = 0; j < k; ++j) sum += a[i / n * k + j] * b[j * n + i % n];
            ASSERT_EQ(c[i], sum) << m << " x " << n << " at " << i;
          }
        }
      }
    }
  }
}

TEST_P(TileKernelsTest, TransposeAndLoadPadWithZeros) {
  for (int64_t rows : {1, 15, 17, 64}) {
    const int64_t cols = 21;
    const auto source = numbers(rows * cols, 4);
    std::vector<float> turned(cols * padded(rows), 99), loaded(rows * padded(cols), 99);
    GetParam()->transpose(rows, cols, {source.data(), cols, false}, {turned.data(), padded(rows)},
                          padded(rows));
    GetParam()->load(rows, cols, 2, {source.data(), cols, false}, {loaded.data(), padded(cols)},
                     padded(cols));
    for (int64_t c = 0; c < padded(cols); ++c) {
      for (int64_t r = 0; r < padded(rows); ++r) {
        const float x = r < rows && c < cols ? source[r * cols + c] : 0;
        if (c < cols) {
          ASSERT_EQ(turned[c * padded(rows) + r], x) << r << ", " << c;
        }
        if (r < rows) {
          ASSERT_EQ(loaded[r * padded(cols) + c], 2 * x) << r << ", " << c;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EachInstructionSet, TileKernelsTest,
                         testing::ValuesIn(supported_tile_kernels()),
                         [](const auto& test) { return test.param->instruction_set; });

TEST(TileKernels, TheFastestThatTheMachineRunsAreChosen) {
  EXPECT_EQ(&tile_kernels(), supported_tile_kernels().front());
  EXPECT_STREQ(supported_tile_kernels().back()->instruction_set, "baseline");
}

}  // namespace
}  // namespace longgen::cpu
