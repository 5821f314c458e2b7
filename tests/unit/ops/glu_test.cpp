// glu: against fp64, gradients, extreme gates, determinism, errors.
#include "longgen/ops/glu.h"

#include <cmath>

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

/// Both activations, in every test.
class GluTest : public testing::TestWithParam<Activation> {
 protected:
  const Op ours = [activation = GetParam()](const auto& in) { return glu(in[0], activation); };
  const Op plain = [activation = GetParam()](const auto& in) {
    const auto halves = in[0].chunk(2, 1);
    const at::Tensor gate =
        activation == Activation::kSilu ? at::silu(halves[0]) : at::gelu(halves[0], "tanh");
    return gate * halves[1];
  };
};
INSTANTIATE_TEST_SUITE_P(Activations, GluTest,
                         testing::Values(Activation::kSilu, Activation::kGeluTanh),
                         [](const auto& test) {
                           return test.param == Activation::kSilu ? "SwiGlu" : "GeGlu";
                         });

std::vector<at::Tensor> cases() {
  at::manual_seed(4);
  std::vector<at::Tensor> result;
  for (const int64_t rows : {0, 1, 3, 65}) {
    for (const int64_t width : {1, 7, 33, 1536}) result.push_back(at::randn({rows, 2 * width}) * 4);
  }
  result.push_back(at::randn({20, 100}).narrow(1, 10, 34));
  result.push_back(at::randn({34, 20}).t());
  return result;
}

TEST_P(GluTest, ErrorIsWithinTwicePlainTorch) {
  for (const at::Tensor& wide : cases()) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor x = wide.to(type);
      const at::Tensor grad = at::randn({x.size(0), x.size(1) / 2}).to(type);
      const OpResult truth = run_op(plain, {x.to(at::kDouble)}, grad);
      const OpResult torch = run_op(plain, {x}, grad), mine = run_op(ours, {x}, grad);
      const std::string shape = c10::str("gate_up ", x.sizes());
      expect_within_twice(mine.out, torch.out, truth.out, type, shape);
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type, shape + " grad");
    }
  }
}

TEST_P(GluTest, Fp64IsThePlainFormula) {
  const at::Tensor x = at::randn({20, 66}, at::kDouble), grad = at::randn({20, 33}, at::kDouble);
  const OpResult truth = run_op(plain, {x}, grad), mine = run_op(ours, {x}, grad);
  EXPECT_LE(max_abs_diff(mine.out, truth.out), 1e-14);
  EXPECT_LE(max_abs_diff(mine.grads[0], truth.grads[0]), 1e-14);
}

TEST_P(GluTest, EveryResultHasFullPrecision) {
  const at::Tensor gate = at::linspace(-90, 90, 20001).unsqueeze(1);
  const at::Tensor x = at::cat({gate, at::ones_like(gate)}, 1);
  // GELU's tanh form is gate * sigmoid(2u); 0.5 (1 + tanh(u)) has no digits left far below 0.
  const at::Tensor g = gate.to(at::kDouble);
  const bool is_silu = GetParam() == Activation::kSilu;
  const at::Tensor exponent = is_silu ? g : 2 * std::sqrt(2 / M_PI) * (g + 0.044715 * g.pow(3));
  const at::Tensor truth = g * at::sigmoid(exponent);
  const at::Tensor error = (ours({x}).to(at::kDouble) - truth).abs();
  // The rounding of an exponent in fp32 becomes a relative error of its power. e^88.8 is not a
  // float: exponents below -88.7 give 0 instead of -3e-37.
  const at::Tensor powers_error = is_silu ? at::ones_like(g) : 1 + exponent.abs();
  EXPECT_TRUE((error <= truth.abs() * powers_error * 0x1p-22 + 1e-36).all().item<bool>());
}

TEST_P(GluTest, ExtremeGatesSaturate) {
  const at::Tensor gate = at::tensor({-1e30, -1e4, -104.0, -89.0, 89.0, 1e4, 1e30}, at::kFloat);
  const at::Tensor x = at::stack({gate, at::full({7}, 2.0)}, 1);
  const OpResult result = run_op(ours, {x}, at::ones({7, 1}));
  const at::Tensor expected = at::tensor({0.0, 0.0, 0.0, 0.0, 178.0, 2e4, 2e30}, at::kFloat);
  EXPECT_TRUE(at::allclose(result.out.flatten(), expected, 1e-6, 1e-35));
  const at::Tensor grad_gate = at::tensor({0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0}, at::kFloat);
  EXPECT_TRUE(at::allclose(result.grads[0].select(1, 0), grad_gate, 1e-6, 1e-35));
}

TEST_P(GluTest, InfinityAndNanDoAsInPlainTorch) {
  const at::Tensor gate = at::tensor({-INFINITY, INFINITY, NAN, 1.0F, 0.0F});
  const at::Tensor up = at::tensor({1.0F, 1.0F, 1.0F, NAN, INFINITY});
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::stack({gate, up}, 1).to(type);
    EXPECT_TRUE(at::allclose(ours({x}), plain({x}), 1e-6, 0, /*equal_nan=*/true)) << ours({x});
  }
}

TEST_P(GluTest, ThreadsAndStridesDoNotChangeABit) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({300, 1500}).to(type), grad = at::randn({300, 750}).to(type);
    expect_same_bits_on_any_threads([&] {
      const OpResult result = run_op(ours, {x}, grad);
      return std::vector<at::Tensor>{result.out, result.grads[0]};
    });
  }
  for (const at::Tensor& x : cases()) {
    const at::Tensor grad = at::randn({x.size(1) / 2, x.size(0)}).t();
    const OpResult view = run_op(ours, {x}, grad);
    const OpResult copy = run_op(ours, {x.contiguous()}, grad.contiguous());
    EXPECT_TRUE(same_bits(view.out, copy.out)) << x.sizes();
    EXPECT_TRUE(same_bits(view.grads[0], copy.grads[0])) << x.sizes();
  }
}

TEST_P(GluTest, WithoutGradientNothingIsKept) {
  const at::Tensor x = at::randn({64, 256}).requires_grad_();
  const at::NoGradGuard no_grad;
  at::Tensor out;
  EXPECT_EQ(peak_tensor_bytes([&] { out = ours({x}); }), 64 * 128 * 4);
  EXPECT_FALSE(out.requires_grad());
}

TEST_P(GluTest, ErrorsNameWhatWasFound) {
  const auto error = [this](const at::Tensor& x) { return error_of([&] { ours({x}); }); };
  expect_contains(error(at::zeros({2, 7})), "[glu] gate_up must be (tokens, 2 * width)");
  expect_contains(error(at::zeros({2, 7})), "gate_up [2, 7] Float cpu");
  expect_contains(error(at::zeros({8})), "gate_up must be (tokens, 2 * width)");
  expect_contains(error(at::zeros({2, 8}, at::kHalf)),
                  "dtype must be float32, bfloat16 or float64");
}

TEST_P(GluTest, SecondDerivativeIsAnError) {
  const at::Tensor out = ours({at::randn({2, 8}).requires_grad_()}).sum();
  expect_contains(error_of([&] { out.backward({}, true, /*create_graph=*/true); }),
                  "[glu] has no second derivative");
}

}  // namespace
}  // namespace longgen
