// rms_norm: against fp64, gradients, strides, determinism, errors.
#include "longgen/ops/norm.h"

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

constexpr double kEps = 1e-5;

at::Tensor ours(const std::vector<at::Tensor>& in) { return rms_norm(in[0], {in[1], kEps}); }

/// Computes the norm as Hugging Face models do.
at::Tensor plain(const std::vector<at::Tensor>& in) {
  const at::ScalarType type = in[0].scalar_type();
  const at::Tensor x = type == at::kDouble ? in[0] : in[0].to(at::kFloat);
  return (x * at::rsqrt(x.pow(2).mean(-1, true) + kEps)).to(type) * in[1];
}

/// x and weight, in many shapes and strides.
std::vector<std::vector<at::Tensor>> cases() {
  at::manual_seed(1);
  std::vector<at::Tensor> xs;
  for (const int64_t rows : {0, 1, 3, 65}) {
    for (const int64_t width : {1, 7, 576}) xs.push_back(at::randn({rows, width}));
  }
  xs.push_back(at::randn({576}));
  xs.push_back(at::randn({2, 3, 65}));
  xs.push_back(at::randn({300, 64}) * 1000);
  const at::Tensor qkv = at::randn({65, 15, 64});
  xs.push_back(qkv.narrow(1, 0, 9));
  xs.push_back(qkv.narrow(1, 9, 3));
  xs.push_back(qkv.narrow(1, 12, 1));
  xs.push_back(at::randn({5, 3, 4, 10}).permute({2, 0, 1, 3}));
  xs.push_back(at::randn({10, 6}).t());  // last axis not contiguous
  std::vector<std::vector<at::Tensor>> result;
  for (const at::Tensor& x : xs) result.push_back({x, at::randn({x.size(-1)})});
  return result;
}

TEST(RmsNormTest, ErrorIsWithinTwicePlainTorch) {
  for (const auto& wide : cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto in = as_type(wide, type), exact = as_type(in, at::kDouble);
      const at::Tensor grad = at::randn(in[0].sizes()).to(type);
      const OpResult truth = run_op(plain, exact, grad);
      const OpResult torch = run_op(plain, in, grad), mine = run_op(ours, in, grad);
      const std::string shape = c10::str("x ", in[0].sizes());
      expect_within_twice(mine.out, torch.out, truth.out, type, shape);
      EXPECT_TRUE(mine.out.is_contiguous());
      // grad_x is what is left of grad * weight / rms.
      const at::Tensor terms = grad * exact[1] / (exact[0].pow(2).mean(-1, true) + kEps).sqrt();
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type, shape + " dx",
                          terms);
      expect_within_twice(mine.grads[1], torch.grads[1], truth.grads[1], type, shape + " dweight");
    }
  }
}

TEST(RmsNormTest, OneIsAddedToTheWeightInFp32) {
  const Op adds_one = [](const auto& in) { return rms_norm(in[0], {in[1], kEps, true}); };
  // Computes the norm as Gemma does: it is rounded once, at the end.
  const Op plain_one = [](const auto& in) {
    const at::ScalarType wide = in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor x = in[0].to(wide);
    const at::Tensor normed = x * at::rsqrt(x.pow(2).mean(-1, true) + kEps);
    return (normed * (1 + in[1].to(wide))).to(in[0].scalar_type());
  };
  for (const auto& wide : cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      const auto in = as_type(wide, type), exact = as_type(in, at::kDouble);
      const at::Tensor grad = at::randn(in[0].sizes()).to(type);
      const OpResult truth = run_op(plain_one, exact, grad);
      const OpResult torch = run_op(plain_one, in, grad), mine = run_op(adds_one, in, grad);
      const std::string shape = c10::str("x ", in[0].sizes());
      expect_within_twice(mine.out, torch.out, truth.out, type, shape);
      const at::Tensor terms =
          grad * (1 + exact[1]) / (exact[0].pow(2).mean(-1, true) + kEps).sqrt();
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type, shape + " dx",
                          terms);
      expect_within_twice(mine.grads[1], torch.grads[1], truth.grads[1], type, shape + " dweight");
    }
  }
  const at::Tensor x = at::randn({7, 33}), delta = at::randn({7, 33}), weight = at::randn({33});
  EXPECT_TRUE(same_bits(add_rms_norm(x, delta, {weight, kEps, true}).normed,
                        rms_norm(x + delta, {weight, kEps, true})));
}

TEST(RmsNormTest, Fp64IsThePlainFormula) {
  for (const auto& wide : cases()) {
    const auto in = as_type(wide, at::kDouble);
    const at::Tensor grad = at::randn(in[0].sizes(), at::kDouble);
    const OpResult truth = run_op(plain, in, grad), mine = run_op(ours, in, grad);
    EXPECT_LE(max_abs_diff(mine.out, truth.out), 1e-15 * (1 + max_abs(truth.out)));
    for (int i = 0; i < 2; ++i) {
      EXPECT_LE(max_abs_diff(mine.grads[i], truth.grads[i]), 1e-13 * (1 + max_abs(truth.grads[i])));
    }
  }
}

TEST(RmsNormTest, WeightGradientOfManyRowsKeepsItsDigits) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({100'000, 8}), weight = at::ones({8}),
                   grad = at::rand({100'000, 8});
  const OpResult truth = run_op(plain, as_type({x, weight}, at::kDouble), grad);
  const OpResult mine = run_op(ours, {x, weight}, grad);
  // Terms of size 1 of both signs: a plain fp32 sum would be wrong by some 1e-3.
  EXPECT_LE(max_abs_diff(mine.grads[1], truth.grads[1]),
            100'000 * 0x1p-24 * 0x1p-5 + spacing(truth.grads[1], at::kFloat));
}

TEST(RmsNormTest, StridedViewsGiveTheBitsOfTheirCopies) {
  for (const auto& in : cases()) {
    const at::Tensor grad = at::randn(in[0].sizes());
    const OpResult view = run_op(ours, in, grad);
    const OpResult copy = run_op(ours, {in[0].contiguous(), in[1]}, grad);
    EXPECT_TRUE(same_bits(view.out, copy.out)) << in[0].sizes();
    EXPECT_TRUE(same_bits(view.grads[0], copy.grads[0])) << in[0].sizes();
    EXPECT_TRUE(same_bits(view.grads[1], copy.grads[1])) << in[0].sizes();
  }
}

TEST(RmsNormTest, StridedWeightAndExpandedGradient) {
  const at::Tensor x = at::randn({5, 16});
  const at::Tensor weight = at::randn({16, 3}).select(1, 1);
  EXPECT_TRUE(same_bits(rms_norm(x, {weight, kEps}), rms_norm(x, {weight.contiguous(), kEps})));
  const at::Tensor ones = at::ones({1, 1}).expand({5, 16});
  const OpResult expanded = run_op(ours, {x, weight}, ones);
  const OpResult full = run_op(ours, {x, weight}, ones.contiguous());
  EXPECT_TRUE(same_bits(expanded.grads[0], full.grads[0]));
  EXPECT_TRUE(same_bits(expanded.grads[1], full.grads[1]));
}

TEST(RmsNormTest, OneGradientIsTheSameAsBoth) {
  const at::Tensor x = at::randn({65, 576}), weight = at::randn({576}), grad = at::randn({65, 576});
  const OpResult both = run_op(ours, {x, weight}, grad);
  const Op of_x = [&](const auto& in) { return rms_norm(in[0], {weight, kEps}); };
  const Op of_weight = [&](const auto& in) { return rms_norm(x, {in[0], kEps}); };
  EXPECT_TRUE(same_bits(run_op(of_x, {x}, grad).grads[0], both.grads[0]));
  EXPECT_TRUE(same_bits(run_op(of_weight, {weight}, grad).grads[0], both.grads[1]));
}

TEST(RmsNormTest, WithoutGradientNothingIsKept) {
  const at::Tensor x = at::randn({64, 256}).requires_grad_(), weight = at::randn({256});
  const at::NoGradGuard no_grad;
  at::Tensor out;
  EXPECT_EQ(peak_tensor_bytes([&] { out = rms_norm(x, {weight, kEps}); }), 64 * 256 * 4);
  EXPECT_FALSE(out.requires_grad());
}

TEST(RmsNormTest, ThreadsDoNotChangeABit) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({5000, 576}).to(type), weight = at::randn({576}).to(type);
    const at::Tensor grad = at::randn({5000, 576}).to(type);
    expect_same_bits_on_any_threads([&] {
      const OpResult result = run_op(ours, {x, weight}, grad);
      return std::vector<at::Tensor>{result.out, result.grads[0], result.grads[1]};
    });
  }
}

TEST(RmsNormTest, ZerosStayZeroAndNanStaysInItsRow) {
  at::Tensor x = at::zeros({3, 40});
  x[1][39] = NAN;
  x[2].fill_(1e-30);
  const at::Tensor out = rms_norm(x, {at::ones({40}), kEps});
  EXPECT_EQ(max_abs(out[0]), 0.0);
  EXPECT_TRUE(out[1].isnan().all().item<bool>());
  EXPECT_TRUE(out[2].isfinite().all().item<bool>());
}

TEST(RmsNormTest, ErrorsNameWhatWasFound) {
  const auto error = [](const at::Tensor& x, const at::Tensor& weight) {
    return error_of([&] { rms_norm(x, {weight, kEps}); });
  };
  const std::string wrong_width = error(at::zeros({2, 8}), at::zeros({7}));
  expect_contains(wrong_width, "[rms_norm] the last axis of x must be as long as weight");
  expect_contains(wrong_width, "x [2, 8] Float cpu | weight [7] Float cpu");
  expect_contains(error(at::zeros({8}).sum(), at::zeros({1})), "as long as weight");
  expect_contains(error(at::zeros({2, 8}), at::zeros({1, 8})), "as long as weight");
  expect_contains(error(at::zeros({2, 8}, at::kHalf), at::zeros({8}, at::kHalf)),
                  "dtype must be float32, bfloat16 or float64");
  expect_contains(error(at::zeros({2, 8}, at::kBFloat16), at::zeros({8})),
                  "must have one dtype and one device");
}

TEST(RmsNormTest, SecondDerivativeIsAnError) {
  const at::Tensor x = at::randn({2, 8}).requires_grad_();
  const at::Tensor out = rms_norm(x, {at::ones({8}), kEps}).sum();
  expect_contains(error_of([&] { out.backward({}, true, /*create_graph=*/true); }),
                  "[rms_norm] has no second derivative");
}

}  // namespace
}  // namespace longgen
