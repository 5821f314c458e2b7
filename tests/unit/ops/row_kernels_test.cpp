// The row kernels of every instruction set that this processor has, against scalar code in double.
#include "longgen/ops/cpu/row_kernels.h"

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace longgen {
namespace {

using cpu::RowKernels;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kSpacing = 0x1p-23;

class RowKernelsTest : public testing::TestWithParam<const RowKernels*> {
 protected:
  const RowKernels& kernels() const { return *GetParam(); }

  std::vector<float> random(int64_t count, float size = 2) {
    std::normal_distribution<float> normal(0, size);
    std::vector<float> result(count);
    for (float& x : result) x = normal(generator_);
    return result;
  }

 private:
  std::mt19937 generator_{7};
};

// Below, at and above the vector lengths of all instruction sets, and one unrolled loop.
const std::vector<int64_t> kWidths = {1, 3, 4, 7, 8, 15, 16, 17, 31, 64, 65, 130};
constexpr int64_t kRows = 3;

TEST_P(RowKernelsTest, ExpIsWithinOneAndAHalfUlp) {
  std::vector<float> x, y;
  for (double at = -87.0; at < 88.7; at += 1e-4) x.push_back(static_cast<float>(at));
  y.resize(x.size());
  kernels().exp(static_cast<int64_t>(x.size()), x.data(), y.data());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double truth = std::exp(static_cast<double>(x[i]));
    const double ulp = std::ldexp(1.0, std::ilogb(truth) - 23);
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - truth) / ulp);
  }
  EXPECT_LE(worst, 1.5);
}

TEST_P(RowKernelsTest, ExpSaturatesAndKeepsDenormalsAndNan) {
  const float largest = std::log(std::numeric_limits<float>::max());  // rounds up
  const std::vector<float> x = {0.0F,   -0.0F,      std::nextafter(largest, 0.0F),
                                88.8F,  1e30F,      kInfinity,
                                -88.0F, -103.0F,    -104.0F,
                                -1e30F, -kInfinity, NAN,
                                -NAN};
  std::vector<float> y(x.size());
  kernels().exp(static_cast<int64_t>(x.size()), x.data(), y.data());
  EXPECT_EQ(y[0], 1.0F);
  EXPECT_EQ(y[1], 1.0F);
  EXPECT_NEAR(y[2] / std::exp(static_cast<double>(x[2])), 1.0, 2 * kSpacing);
  for (int i = 3; i <= 5; ++i) EXPECT_EQ(y[i], kInfinity) << x[i];
  for (int i = 6; i <= 7; ++i) {
    EXPECT_NEAR(y[i], std::exp(static_cast<double>(x[i])), 2 * 0x1p-149) << x[i];
  }
  for (int i = 8; i <= 10; ++i) EXPECT_EQ(y[i], 0.0F) << x[i];
  EXPECT_TRUE(std::isnan(y[11]));
  EXPECT_TRUE(std::isnan(y[12]));
}

TEST_P(RowKernelsTest, RmsNormAndItsGradients) {
  for (const int64_t n : kWidths) {
    const float added = n % 2 == 0 ? 1.0F : 0.0F;
    const auto x = random(kRows * n), grad = random(kRows * n), weight = random(n);
    std::vector<float> out(kRows * n), inverse(kRows), grad_x(kRows * n), grad_weight(n);
    const StridedRows x_rows = {x.data(), kRows, 0, n}, grad_rows = {grad.data(), 1, n, 0};
    kernels().rms_norm({false, n, 1e-5, x_rows, weight.data(), added, out.data(), inverse.data()},
                       0, kRows);
    kernels().rms_norm_backward({false, n, x_rows, grad_rows, weight.data(), added, inverse.data(),
                                 grad_x.data(), grad_weight.data()},
                                0, kRows);
    std::vector<double> weight_truth(n);
    for (int64_t r = 0; r < kRows; ++r) {
      double squares = 0, dot = 0;
      for (int64_t i = r * n; i < r * n + n; ++i) squares += double{x[i]} * x[i];
      const double inv = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
      const auto factor = [&](int64_t i) { return double{weight[i]} + double{added}; };
      for (int64_t i = 0; i < n; ++i) dot += factor(i) * grad[r * n + i] * x[r * n + i] * inv;
      EXPECT_NEAR(inverse[r], inv, inv * 2 * kSpacing);
      for (int64_t i = 0; i < n; ++i) {
        const double h = x[r * n + i] * inv, scaled = factor(i) * grad[r * n + i];
        weight_truth[i] += grad[r * n + i] * h;
        EXPECT_NEAR(out[r * n + i], h * factor(i),
                    (std::abs(h * factor(i)) + added * std::abs(h)) * 4 * kSpacing);
        const double mean = dot / static_cast<double>(n);
        EXPECT_NEAR(grad_x[r * n + i], (scaled - mean * h) * inv,
                    (std::abs(scaled) + std::abs(mean * h) + 10) * inv * 4 * kSpacing)
            << n;
      }
    }
    for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(grad_weight[i], weight_truth[i], 40 * kSpacing);
  }
}

TEST_P(RowKernelsTest, RopeRotatesByEachRowsAngles) {
  for (const int64_t half : kWidths) {
    const auto x = random(kRows * 2 * 2 * half), angles = random(kRows * half);
    std::vector<float> cos, sin, out(x.size()), back(x.size());
    for (const float angle : angles) cos.push_back(std::cos(angle)), sin.push_back(std::sin(angle));
    kernels().rope(
        {false, 2, half, x.data(), 4 * half, 2 * half, cos.data(), sin.data(), 1, out.data()}, 0,
        kRows);
    for (int64_t r = 0; r < kRows * 2; ++r) {
      for (int64_t i = 0; i < half; ++i) {
        const double a = x[r * 2 * half + i], b = x[r * 2 * half + half + i];
        const double c = cos[r / 2 * half + i], s = sin[r / 2 * half + i];
        EXPECT_NEAR(out[r * 2 * half + i], a * c - b * s, 16 * kSpacing);
        EXPECT_NEAR(out[r * 2 * half + half + i], b * c + a * s, 16 * kSpacing);
      }
    }
    kernels().rope(
        {false, 2, half, out.data(), 4 * half, 2 * half, cos.data(), sin.data(), -1, back.data()},
        0, kRows);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 32 * kSpacing);
  }
}

TEST_P(RowKernelsTest, SwiGluAndItsGradients) {
  for (const int64_t n : kWidths) {
    const auto x = random(kRows * 2 * n, 4), grad = random(kRows * n);
    std::vector<float> out(kRows * n), grad_x(kRows * 2 * n);
    kernels().swiglu({false, n, x.data(), 2 * n, out.data()}, 0, kRows);
    kernels().swiglu_backward({false, n, x.data(), 2 * n, grad.data(), n, grad_x.data()}, 0, kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        const double g = x[r * 2 * n + i], u = x[r * 2 * n + n + i], d = grad[r * n + i];
        const double s = 1 / (1 + std::exp(-g));
        EXPECT_NEAR(out[r * n + i], g * s * u, std::abs(g * s * u) * 5 * kSpacing);
        EXPECT_NEAR(grad_x[r * 2 * n + i], d * u * s * (1 + g * (1 - s)),
                    std::abs(d * u * s) * (1 + std::abs(g)) * 6 * kSpacing);
        EXPECT_NEAR(grad_x[r * 2 * n + n + i], d * g * s, std::abs(d * g * s) * 5 * kSpacing);
      }
    }
  }
}

TEST_P(RowKernelsTest, GeGluAndItsGradients) {
  for (const int64_t n : kWidths) {
    const auto x = random(kRows * 2 * n, 4), grad = random(kRows * n);
    std::vector<float> out(kRows * n), grad_x(kRows * 2 * n);
    kernels().geglu({false, n, x.data(), 2 * n, out.data()}, 0, kRows);
    kernels().geglu_backward({false, n, x.data(), 2 * n, grad.data(), n, grad_x.data()}, 0, kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t i = 0; i < n; ++i) {
        const double g = x[r * 2 * n + i], u = x[r * 2 * n + n + i], d = grad[r * n + i];
        const double twice_root = 2 * std::sqrt(2 / M_PI);
        const double twice_u = twice_root * (g + 0.044715 * g * g * g);
        const double s = 1 / (1 + std::exp(-twice_u));
        const double slope = twice_root * (1 + 3 * 0.044715 * g * g);
        // The rounding of the exponent becomes a relative error of its power.
        const double spacing = (5 + std::abs(twice_u)) * kSpacing;
        constexpr double kZero = 1e-34;  // powers that are no floats
        EXPECT_NEAR(out[r * n + i], g * s * u, std::abs(g * s * u) * spacing + kZero);
        EXPECT_NEAR(grad_x[r * 2 * n + i], d * u * s * (1 + g * (1 - s) * slope),
                    std::abs(d * u * s) * (1 + std::abs(g) * slope) * 2 * spacing + kZero);
        EXPECT_NEAR(grad_x[r * 2 * n + n + i], d * g * s, std::abs(d * g * s) * spacing + kZero);
      }
    }
  }
}

TEST_P(RowKernelsTest, CrossEntropyAndItsGradient) {
  for (const int64_t n : {1, 3, 17, 65, 4095, 4096, 4097, 20000}) {
    const auto x = random(kRows * n, 5);
    std::vector<float> logits = x;
    const std::vector<int64_t> targets = {n - 1, -1, n / 2};
    std::vector<double> losses(kRows);
    kernels().cross_entropy({false, n, logits.data(), targets.data(), losses.data(), false}, 0,
                            kRows);
    EXPECT_EQ(logits, x);
    kernels().cross_entropy({false, n, logits.data(), targets.data(), losses.data(), true}, 0,
                            kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += std::exp(double{x[r * n + i]});
      const bool has_target = targets[r] >= 0;
      const double loss = has_target ? std::log(sum) - x[r * n + targets[r]] : 0;
      EXPECT_NEAR(losses[r], loss, 1e-6) << n;
      for (int64_t i = 0; i < n; ++i) {
        const double p = std::exp(double{x[r * n + i]}) / sum;
        const double truth = has_target ? p - (i == targets[r] ? 1 : 0) : 0;
        ASSERT_NEAR(logits[r * n + i], truth, p * 32 * kSpacing + std::abs(truth) * kSpacing)
            << n << " " << i;
      }
    }
  }
}

TEST_P(RowKernelsTest, DistillationAndItsGradient) {
  constexpr float kShare = 0.25;
  for (const int64_t n : {1, 3, 17, 65, 4097, 20000}) {
    const auto x = random(kRows * n, 5), y = random(kRows * n, 5);
    std::vector<float> logits = x;
    const std::vector<int64_t> targets = {n - 1, -1, n / 2};
    std::vector<double> losses(kRows), divergences(kRows);
    kernels().distillation({false, n, logits.data(), y.data(), targets.data(), kShare,
                            losses.data(), divergences.data(), true},
                           0, kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      double sum = 0, teacher_sum = 0, divergence = 0;
      for (int64_t i = r * n; i < r * n + n; ++i) {
        sum += std::exp(double{x[i]}), teacher_sum += std::exp(double{y[i]});
      }
      const bool has_target = targets[r] >= 0;
      for (int64_t i = 0; i < n && has_target; ++i) {
        const double p = std::exp(double{x[r * n + i]}) / sum;
        const double q = std::exp(double{y[r * n + i]}) / teacher_sum;
        divergence += q * std::log(q / p);
        const double truth = p - kShare * q - (i == targets[r] ? 1 - kShare : 0);
        ASSERT_NEAR(logits[r * n + i], truth, (p + q) * 32 * kSpacing + std::abs(truth) * kSpacing)
            << n << " " << i;
      }
      EXPECT_NEAR(losses[r], has_target ? std::log(sum) - x[r * n + targets[r]] : 0, 1e-6) << n;
      EXPECT_NEAR(divergences[r], divergence, 1e-6 * (1 + divergence)) << n;
      if (!has_target) {
        EXPECT_EQ(logits[r * n], 0);
      }
    }
  }
}

/// 1 times `factor`, as it is stored in bf16.
float through_bf16_store(const RowKernels& kernels, float factor) {
  const std::vector<c10::BFloat16> x = {1.0F, 0.0F};
  std::vector<c10::BFloat16> out(2);
  const float zero = 0;
  kernels.rope({true, 1, 1, x.data(), 2, 2, &factor, &zero, 1, out.data()}, 0, 1);
  return out[0];
}

TEST_P(RowKernelsTest, Bf16IsRoundedToNearestEven) {
  for (const float x : {1.0F + 0x1p-8F, 1.0F + 0x3p-8F, 1.0F + 0x1p-8F + 0x1p-20F, 1.0F + 0x1p-9F,
                        3.3e38F, 3.4e38F, 1e-40F, -1.0F - 0x1p-8F, kInfinity, 0.1F, -12345.678F}) {
    EXPECT_EQ(through_bf16_store(kernels(), x), static_cast<float>(c10::BFloat16(x))) << x;
  }
}

TEST_P(RowKernelsTest, EveryBf16NumberPassesUnchanged) {
  // Angle 0 rotates nothing; the second half of each row is 0, so that infinity meets no other.
  constexpr int64_t kAll = 65536, kHalf = 64;
  std::vector<c10::BFloat16> x(2 * kAll), out(2 * kAll);
  const auto at = [](int64_t i) { return i / kHalf * 2 * kHalf + i % kHalf; };
  for (int64_t i = 0; i < kAll; ++i) {
    x[at(i)] = {static_cast<unsigned short>(i), c10::BFloat16::from_bits()};
  }
  const std::vector<float> cos(kHalf, 1.0F);
  const std::vector<float> sin(kHalf, 0.0F);
  const int64_t num_heads = kAll / kHalf;
  kernels().rope(
      {true, num_heads, kHalf, x.data(), 0, 2 * kHalf, cos.data(), sin.data(), 1, out.data()}, 0,
      1);
  for (int64_t i = 0; i < kAll; ++i) {
    const auto value = static_cast<float>(x[at(i)]), result = static_cast<float>(out[at(i)]);
    EXPECT_TRUE(result == value || (std::isnan(result) && std::isnan(value))) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, RowKernelsTest,
                         testing::ValuesIn(cpu::supported_row_kernels()),
                         [](const auto& set) { return set.param->instruction_set; });

TEST(RowKernelsDispatchTest, TheFastestSupportedOneIsChosen) {
  EXPECT_EQ(&cpu::row_kernels(), cpu::supported_row_kernels().front());
  EXPECT_STREQ(cpu::supported_row_kernels().back()->instruction_set, "baseline");
}

}  // namespace
}  // namespace longgen
