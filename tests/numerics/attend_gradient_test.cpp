// The gradients of the attend op against autograd through the reference in fp64.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/numerics/attend_cases.h"

namespace longgen {
namespace {

template <typename Attend>
Qkv gradients(const Attend& op, const Qkv& x, const AttendCase& c) {
  Qkv leaf = {x.q_THD.detach().requires_grad_(), x.k_SKD.detach().requires_grad_(),
              x.v_SKD.detach().requires_grad_()};
  const Attended result =
      op(leaf.q_THD, leaf.k_SKD, leaf.v_SKD, Pattern::parse(c.pattern), c.options());
  torch::manual_seed(3);
  const torch::Tensor weights =
      torch::randn(result.out_THD.sizes()).to(torch::kBFloat16).to(result.out_THD);
  (result.out_THD * weights).sum().backward();
  return {leaf.q_THD.grad(), leaf.k_SKD.grad(), leaf.v_SKD.grad()};
}

class AttendGradientTest : public testing::TestWithParam<AttendCase> {};

TEST_P(AttendGradientTest, ErrorIsWithinTwicePlainTorch) {
  const AttendCase c = GetParam();
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const Qkv x = random_qkv(c).to(type);
    const Qkv truth = gradients(attend_reference, x.to(torch::kDouble), c);
    const Qkv plain = gradients(attend_reference, x, c);
    const Qkv ours = gradients(attend, x, c);
    // dS = p * (dP - delta) subtracts numbers of the size of |grad_out . v| before they meet q or
    // k: their rounding is left even where the gradient itself is zero. 4 standard deviations of
    // random data stand for the largest term. The gradient of a key adds such errors of all query
    // heads of its group.
    const double term = 4 * 4 * max_abs(x.v_SKD) * 4 * std::sqrt(c.num_heads / c.num_kv_heads);
    const double floor = term * (type == torch::kBFloat16 ? 0x1p-20 : 0x1p-23);
    const auto expect_close = [&](const char* name, const torch::Tensor Qkv::*member) {
      EXPECT_LE(
          max_abs_diff(ours.*member, truth.*member),
          2 * max_abs_diff(plain.*member, truth.*member) + 2 * spacing(truth.*member, type) + floor)
          << name << " " << c << " " << type;
    };
    expect_close("q", &Qkv::q_THD);
    expect_close("k", &Qkv::k_SKD);
    expect_close("v", &Qkv::v_SKD);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, AttendGradientTest, testing::ValuesIn(attend_cases()));

TEST(AttendGradientDeterminismTest, ThreadsDoNotChangeABit) {
  const AttendCase c = {3000, 3000, 6, 2, 64, "sink=1,window=4,stride=5"};
  const Qkv x = random_qkv(c);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Qkv one = gradients(attend, x, c);
  at::set_num_threads(3);
  const Qkv three = gradients(attend, x, c);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one.q_THD, three.q_THD));
  EXPECT_TRUE(torch::equal(one.k_SKD, three.k_SKD));
  EXPECT_TRUE(torch::equal(one.v_SKD, three.v_SKD));
}

TEST(AttendGradientTest, RowWithoutVisibleKeyHasNoGradient) {
  Qkv x = random_qkv({200, 200, 2, 2, 32, ""});
  const Qkv leaf = {x.q_THD.requires_grad_(), x.k_SKD.requires_grad_(), x.v_SKD.requires_grad_()};
  attend(leaf.q_THD, leaf.k_SKD, leaf.v_SKD, Pattern::sparse(0, 0, 2, {0, 1}))
      .out_THD.sum()
      .backward();
  EXPECT_EQ(max_abs(leaf.q_THD.grad().slice(0, 0, 64).select(1, 1)), 0.0);
  EXPECT_TRUE(leaf.k_SKD.grad().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace longgen
