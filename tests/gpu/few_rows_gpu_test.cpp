// Products of few rows on the GPU: against fp64, what is fused into them, and which ones are left
// to torch.
#include "longgen/ops/few_rows.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/norm.h"
#include "tests/gpu/gpu_test.h"
#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

constexpr double kEps = 1e-5;

class FewRowsGpu : public GpuTest {};

/// A weight (outputs, width), or twice as many rows for SwiGLU, and 1 to 4 rows.
void expect_few_rows_are_right(int64_t width, int64_t outputs) {
  const auto bf16 = at::TensorOptions().dtype(at::kBFloat16);
  const at::Tensor weight = at::randn({2 * outputs, width}, bf16);
  const at::Tensor bias = at::randn({2 * outputs}, bf16), on = on_gpu(weight);
  for (const int64_t rows : {1, 2, 3, 4}) {
    // Rows 16 numbers apart from each other.
    const at::Tensor base = at::randn({rows, width + 16}, bf16);
    const auto view = [&](const at::Tensor& x) { return x.narrow(1, 0, width); };
    const at::Tensor x = view(base), x_on = view(on_gpu(base));
    const std::string what =
        std::to_string(rows) + " x " + std::to_string(width) + " x " + std::to_string(outputs);
    ASSERT_TRUE(gpu::are_few_rows(x_on, on, {})) << what;
    const auto exact = [](const at::Tensor& t) { return t.to(at::kDouble); };
    const at::Tensor truth = at::linear(exact(x), exact(weight), exact(bias));
    const at::Tensor bias_on = on_gpu(bias);
    const auto run = [&](const gpu::NormBefore& norm, bool swiglu) {
      return gpu::ops().few_rows_linear(x_on, norm, on, bias_on, swiglu);
    };
    const at::Tensor mine = run({}, false).out;
    expect_within_twice(mine.cpu(), at::linear(x, weight, bias), truth, at::kBFloat16, what);
    EXPECT_TRUE(same_bits(mine.cpu(), run({}, false).out.cpu()));
    EXPECT_TRUE(same_bits(mine.cpu(), linear(x_on, on, bias_on).cpu())) << what;
    const at::Tensor plain = gpu::ops().few_rows_linear(x_on, {}, on, {}, false).out;
    expect_within_twice(plain.cpu(), at::linear(x, weight), truth - exact(bias), at::kBFloat16,
                        what + " without bias");
    // What it fuses, from its own numbers, to the bit.
    EXPECT_TRUE(same_bits(run({}, true).out.cpu(), gpu::ops().swiglu(mine).cpu())) << what;

    const at::Tensor norm_weight = at::randn({width}, bf16);
    const at::Tensor delta = at::randn({rows, width}, bf16);
    const gpu::NormBefore before = {on_gpu(delta), on_gpu(norm_weight), kEps};
    if (!gpu::fits_norm(x_on, before)) continue;
    const AddedNorm normed = add_rms_norm(x, delta, norm_weight, kEps);
    const gpu::FewRowsResult both = run(before, false);
    EXPECT_TRUE(same_bits(both.sum.cpu(), normed.sum)) << what;
    expect_within_twice(both.out.cpu(), at::linear(normed.normed, weight, bias),
                        at::linear(exact(normed.normed), exact(weight), exact(bias)), at::kBFloat16,
                        what + " with norm");
    EXPECT_TRUE(same_bits(run(before, true).out.cpu(), gpu::ops().swiglu(both.out).cpu())) << what;
    const gpu::FewRowsResult alone = run({{}, before.weight_I, kEps}, false);
    const at::Tensor normed_alone = rms_norm(x, norm_weight, kEps);
    expect_within_twice(alone.out.cpu(), at::linear(normed_alone, weight, bias),
                        at::linear(exact(normed_alone), exact(weight), exact(bias)), at::kBFloat16,
                        what + " with norm alone");
  }
}

TEST_F(FewRowsGpu, Linear) {
  at::manual_seed(12);
  expect_few_rows_are_right(576, 1536);
  expect_few_rows_are_right(1536, 576);
  expect_few_rows_are_right(4096, 100);
  expect_few_rows_are_right(4096, 4096);
  expect_few_rows_are_right(11'008, 300);
  expect_few_rows_are_right(288, 5000);
}

TEST_F(FewRowsGpu, LinearOfSmallWeights) {
  at::manual_seed(13);
  expect_few_rows_are_right(8, 1);
  expect_few_rows_are_right(72, 7);
  expect_few_rows_are_right(2056, 3);  // a piece and eight numbers
}

TEST_F(FewRowsGpu, LinearLeavesTheRestToTorch) {
  const auto options = at::TensorOptions(kGpu).dtype(at::kBFloat16);
  const at::Tensor weight = at::randn({40, 64}, options);
  EXPECT_TRUE(gpu::are_few_rows(at::randn({4, 64}, options), weight, {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({5, 64}, options), weight, {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({0, 64}, options), weight, {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({1, 64}, options.dtype(at::kFloat)), weight, {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({2, 65}, options).narrow(1, 1, 64), weight, {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({2, 44}, options), at::randn({4, 44}, options), {}));
  EXPECT_FALSE(gpu::are_few_rows(at::randn({1, 40}, options), weight.t(), {}));
}

}  // namespace
}  // namespace longgen
