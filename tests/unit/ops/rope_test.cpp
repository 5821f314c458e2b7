// rope: angles at long positions, rotation against fp64, gradients, identities, errors.
#include "longgen/ops/rope.h"

#include <cmath>

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

std::vector<double> frequencies(int64_t half, double base = 10000) {
  std::vector<double> result(half);
  for (int64_t i = 0; i < half; ++i) {
    result[i] = std::pow(base, -static_cast<double>(i) / static_cast<double>(half));
  }
  return result;
}

/// Angles (T, half) in fp64.
at::Tensor exact_angles(const at::Tensor& positions_T, int64_t half) {
  return positions_T.to(at::kDouble).unsqueeze(1) * at::tensor(frequencies(half), at::kDouble);
}

at::Tensor far_positions(int64_t num_tokens) {
  return at::randint(0, 1'000'001, {num_tokens}, at::kLong);
}

/// Rotates as Hugging Face models do: cos and sin in the dtype of x.
Op plain(const at::Tensor& cos_TR, const at::Tensor& sin_TR) {
  return [cos_TR, sin_TR](const std::vector<at::Tensor>& in) {
    const auto both = [&](const at::Tensor& t) {
      return at::cat({t, t}, 1).unsqueeze(1).to(in[0].scalar_type());
    };
    const auto halves = in[0].chunk(2, 2);
    return in[0] * both(cos_TR) + at::cat({-halves[1], halves[0]}, 2) * both(sin_TR);
  };
}

Op ours(const RopeTable& table) {
  return [table](const std::vector<at::Tensor>& in) { return rope(in[0], table); };
}

/// x (T, heads, D) of many shapes and strides.
std::vector<at::Tensor> cases() {
  at::manual_seed(3);
  std::vector<at::Tensor> result;
  for (const int64_t tokens : {0, 1, 3, 65}) {
    result.push_back(at::randn({tokens, 9, 64}));
    result.push_back(at::randn({tokens, 2, 2}));
    result.push_back(at::randn({tokens, 1, 80}));
    result.push_back(at::randn({tokens, 3, 14}));
    result.push_back(at::randn({tokens, 15, 64}).narrow(1, 9, 3));
  }
  result.push_back(at::randn({4, 33, 16}).transpose(0, 1));
  result.push_back(at::randn({16, 4, 33}).permute({2, 1, 0}));  // last axis not contiguous
  result.push_back(at::randn({7, 0, 16}));
  return result;
}

TEST(RopeTableTest, AnglesAreExactUpToAMillion) {
  const at::Tensor positions = at::tensor({0, 1, 8191, 131072, 999'999, 1'000'000}, at::kLong);
  const RopeTable table = make_rope_table(positions, frequencies(32));
  const at::Tensor angles = exact_angles(positions, 32);
  // Half the spacing of fp32 numbers below 1.
  EXPECT_LE(max_abs_diff(table.cos_TR, angles.cos()), 0x1p-25 * 1.001);
  EXPECT_LE(max_abs_diff(table.sin_TR, angles.sin()), 0x1p-25 * 1.001);
  EXPECT_TRUE(same_bits(table.cos_TR[0], at::ones({32})));
  EXPECT_TRUE(same_bits(table.sin_TR[0], at::zeros({32})));
}

TEST(RopeTableTest, FactorMultipliesBoth) {
  const at::Tensor positions = far_positions(50);
  const RopeTable table = make_rope_table(positions, frequencies(8), 1.25);
  const at::Tensor angles = exact_angles(positions, 8);
  EXPECT_LE(max_abs_diff(table.cos_TR, angles.cos() * 1.25), 0x1p-24 * 1.001);
  EXPECT_LE(max_abs_diff(table.sin_TR, angles.sin() * 1.25), 0x1p-24 * 1.001);
}

TEST(RopeTableTest, ThreadsDoNotChangeABit) {
  const at::Tensor positions = far_positions(3000);
  expect_same_bits_on_any_threads([&] {
    const RopeTable table = make_rope_table(positions, frequencies(32));
    return std::vector<at::Tensor>{table.cos_TR, table.sin_TR};
  });
}

TEST(RopeTest, ErrorIsWithinTwicePlainTorch) {
  for (const at::Tensor& wide : cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor x = wide.to(type), positions = far_positions(x.size(0));
      const at::Tensor angles = exact_angles(positions, x.size(2) / 2);
      const Op exact = plain(angles.cos() * 1.1, angles.sin() * 1.1);
      const at::Tensor grad = at::randn(x.sizes()).to(type);
      const OpResult truth = run_op(exact, {x.to(at::kDouble)}, grad);
      const OpResult torch = run_op(exact, {x}, grad);
      const OpResult mine =
          run_op(ours(make_rope_table(positions, frequencies(x.size(2) / 2), 1.1)), {x}, grad);
      const std::string shape = c10::str("x ", x.sizes());
      expect_within_twice(mine.out, torch.out, truth.out, type, shape);
      EXPECT_TRUE(mine.out.is_contiguous());
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type, shape + " dx");
    }
  }
}

TEST(RopeTest, Fp64RotatesInFp64) {
  const at::Tensor x = at::randn({20, 3, 64}, at::kDouble), positions = far_positions(20);
  const RopeTable table = make_rope_table(positions, frequencies(32));
  const at::Tensor grad = at::randn(x.sizes(), at::kDouble);
  const OpResult truth =
      run_op(plain(table.cos_TR.to(at::kDouble), table.sin_TR.to(at::kDouble)), {x}, grad);
  const OpResult mine = run_op(ours(table), {x}, grad);
  EXPECT_LE(max_abs_diff(mine.out, truth.out), 1e-14);
  EXPECT_LE(max_abs_diff(mine.grads[0], truth.grads[0]), 1e-14);
}

TEST(RopeTest, ScoresDependOnDistanceOnlyEvenFarOut) {
  const at::Tensor q = at::randn({1, 1, 64}).expand({2, 1, 64}),
                   k = at::randn({1, 1, 64}).expand({2, 1, 64});
  const auto rotated = [](const at::Tensor& x, int64_t near, int64_t far) {
    return rope(x, make_rope_table(at::tensor({near, far}, at::kLong), frequencies(32)));
  };
  const at::Tensor scores = (rotated(q, 500, 1'000'000) * rotated(k, 123, 999'623)).sum({1, 2});
  EXPECT_LE(std::abs((scores[0] - scores[1]).item<double>()), 64 * 0x1p-23 * 4);
}

TEST(RopeTest, StridedViewsGiveTheBitsOfTheirCopies) {
  for (const at::Tensor& x : cases()) {
    const RopeTable table = make_rope_table(far_positions(x.size(0)), frequencies(x.size(2) / 2));
    const at::Tensor grad = at::randn(x.sizes());
    const OpResult view = run_op(ours(table), {x}, grad);
    const OpResult copy = run_op(ours(table), {x.contiguous()}, grad);
    EXPECT_TRUE(same_bits(view.out, copy.out)) << x.sizes();
    EXPECT_TRUE(same_bits(view.grads[0], copy.grads[0])) << x.sizes();
  }
}

TEST(RopeTest, ThreadsDoNotChangeABit) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({700, 9, 64}).to(type), grad = at::randn({700, 9, 64}).to(type);
    const RopeTable table = make_rope_table(far_positions(700), frequencies(32));
    expect_same_bits_on_any_threads([&] {
      const OpResult result = run_op(ours(table), {x}, grad);
      return std::vector<at::Tensor>{result.out, result.grads[0]};
    });
  }
}

TEST(RopeTest, WithoutGradientNothingIsKept) {
  const at::Tensor x = at::randn({64, 4, 64}).requires_grad_();
  const RopeTable table = make_rope_table(far_positions(64), frequencies(32));
  const at::NoGradGuard no_grad;
  at::Tensor out;
  EXPECT_EQ(peak_tensor_bytes([&] { out = rope(x, table); }), 64 * 4 * 64 * 4);
  EXPECT_FALSE(out.requires_grad());
}

TEST(RopeTest, ErrorsNameWhatWasFound) {
  const RopeTable table = make_rope_table(at::arange(4), frequencies(8));
  const auto error = [](const at::Tensor& x, const RopeTable& with) {
    return error_of([&] { rope(x, with); });
  };
  expect_contains(error(at::zeros({4, 2, 15}), table), "with an even head size");
  expect_contains(error(at::zeros({4, 16}), table), "x must be (tokens, heads, head size)");
  const std::string tokens = error(at::zeros({5, 2, 16}), table);
  expect_contains(tokens, "cos and sin must be (tokens, head size / 2) of x");
  expect_contains(tokens, "x [5, 2, 16] Float cpu | cos [4, 8] Float cpu");
  expect_contains(error(at::zeros({4, 2, 32}), table), "(tokens, head size / 2)");
  expect_contains(error(at::zeros({4, 2, 16}, at::kLong), table),
                  "dtype must be float32, bfloat16 or float64");
  const RopeTable halves = {table.cos_TR.to(at::kBFloat16), table.sin_TR.to(at::kBFloat16)};
  expect_contains(error(at::zeros({4, 2, 16}), halves), "cos and sin must be float32");
  expect_contains(error_of([] { make_rope_table(at::zeros({4}), {1.0}); }),
                  "positions must be an int64 vector on the CPU, found positions [4] Float cpu");
}

TEST(RopeTest, SecondDerivativeIsAnError) {
  const at::Tensor x = at::randn({2, 1, 8}).requires_grad_();
  const at::Tensor out = rope(x, make_rope_table(at::arange(2), frequencies(4))).square().sum();
  expect_contains(error_of([&] { out.backward({}, true, /*create_graph=*/true); }),
                  "[rope] has no second derivative");
}

}  // namespace
}  // namespace longgen
