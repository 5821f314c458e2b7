// linear: few rows go through kernels of ours, held against at::linear in fp64.
#include "longgen/ops/linear.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "longgen/base/cpu_features.h"
#include "longgen/ops/cpu/row_kernels.h"

namespace longgen {
namespace {

struct Case {
  int64_t rows, width, outputs;
};

torch::Tensor exact(const torch::Tensor& x, const torch::Tensor& w, const torch::Tensor& bias) {
  return torch::linear(x.to(torch::kDouble), w.to(torch::kDouble),
                       bias.defined() ? bias.to(torch::kDouble) : bias);
}

double error(const torch::Tensor& found, const torch::Tensor& truth) {
  return (found.to(torch::kDouble) - truth).abs().max().item<double>();
}

TEST(LinearTest, FewRowsAreAsExactAsAten) {
  torch::manual_seed(1);
  for (const Case c : {Case{1, 576, 960}, Case{1, 1, 1}, Case{1, 17, 3}, Case{2, 63, 130},
                       Case{4, 1536, 576}, Case{5, 64, 64}, Case{1, 100, 2000}, Case{8, 2048, 30},
                       Case{64, 192, 77}, Case{70, 192, 77}}) {
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      for (const bool with_bias : {false, true}) {
        const torch::NoGradGuard no_grad;
        const auto x = torch::randn({c.rows, c.width}).to(type);
        const auto w = torch::randn({c.outputs, c.width}).to(type);
        const auto bias = with_bias ? torch::randn({c.outputs}).to(type) : torch::Tensor();
        const auto truth = exact(x, w, bias);
        const auto ours = longgen::linear(x, w, bias);
        EXPECT_EQ(ours.scalar_type(), type);
        // A sum of n products in fp32, in any order, then one rounding to the result's type.
        const double terms =
            x.to(torch::kDouble).abs().matmul(w.to(torch::kDouble).abs().t()).max().item<double>();
        const double rounding =
            truth.abs().max().item<double>() * (type == torch::kFloat ? 0x1p-24 : 0x1p-8);
        EXPECT_LE(error(ours, truth), 2 * rounding + terms * static_cast<double>(c.width) * 0x1p-24)
            << c.rows << "x" << c.width << "x" << c.outputs << " " << type;
      }
    }
  }
}

TEST(LinearTest, RowsOfAWiderTensorAndAnyNumberOfThreadsGiveTheSameBits) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  const auto wide = torch::randn({3, 2000});
  const auto x = wide.slice(1, 100, 1000);
  const auto w = torch::randn({700, 900});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = longgen::linear(x.contiguous(), w);
  at::set_num_threads(3);
  const auto three = longgen::linear(x, w);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one, three));
}

// What a server's batch holds beside a sequence must not change its reply.
TEST(LinearTest, NoBitOfARowDependsOnTheOthers) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const int64_t most = type == torch::kBFloat16 && multiplies_bfloat16() ? 16 : 64;
    // Widths within a step, of whole steps, and of several blocks; outputs that fill no tile.
    for (const Case c : {Case{most, 576, 100}, Case{most, 33, 61}, Case{most, 2080, 29},
                         Case{most, 1700, 2}, Case{most, 1, 7}}) {
      const auto x = torch::randn({c.rows, c.width}).to(type);
      const auto w = torch::randn({c.outputs, c.width}).to(type);
      const auto bias = torch::randn({c.outputs}).to(type);
      const auto all = longgen::linear(x, w, bias);
      for (const int64_t count : {1, 2, 3, 7, 8, 13}) {
        for (const int64_t first : {int64_t{0}, most - count}) {
          EXPECT_TRUE(torch::equal(longgen::linear(x.narrow(0, first, count), w, bias),
                                   all.narrow(0, first, count)))
              << count << " of " << c.rows << "x" << c.width << "x" << c.outputs << " " << type;
        }
      }
    }
  }
}

TEST(LinearTest, EveryInstructionSetGivesTheSameToRounding) {
  torch::manual_seed(3);
  constexpr int64_t kRows = 11, kWidth = 1333, kOutputs = 50;
  const auto x = torch::randn({kRows, kWidth}), w = torch::randn({kOutputs, kWidth});
  const auto bias = torch::randn({kOutputs});
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const auto x_as = x.to(type), w_as = w.to(type), bias_as = bias.to(type);
    const auto truth = exact(x_as, w_as, bias_as);
    const double rounding = type == torch::kFloat ? 0 : truth.abs().max().item<double>() * 0x1p-8;
    for (const cpu::RowKernels* kernels : cpu::supported_row_kernels()) {
      const auto prepared = torch::full({kRows, cpu::padded_linear_width(kWidth)}, NAN);
      const auto out = torch::zeros({kRows, kOutputs}, type);
      const bool bf16 = type == torch::kBFloat16;
      kernels->linear_rows({bf16, kWidth, x_as.data_ptr(), kWidth, prepared.data_ptr<float>()}, 0,
                           kRows);
      const cpu::Linear job = {bf16,
                               kRows,
                               kWidth,
                               kOutputs,
                               prepared.data_ptr<float>(),
                               w_as.data_ptr(),
                               bias_as.data_ptr(),
                               out.data_ptr()};
      kernels->linear(job, 0, 20);
      kernels->linear(job, 20, kOutputs);
      EXPECT_LE(error(out, truth), 1e-3 + rounding) << kernels->instruction_set << " " << type;
    }
  }
}

TEST(LinearTest, GradientsFlowAndShapesAreChecked) {
  const auto x = torch::randn({1, 8}).requires_grad_(), w = torch::randn({4, 8}).requires_grad_();
  longgen::linear(x, w).sum().backward();
  EXPECT_TRUE(torch::allclose(x.grad(), w.detach().sum(0, true)));
  EXPECT_THROW(longgen::linear(torch::zeros({1, 7}), torch::zeros({4, 8})), c10::Error);
}

}  // namespace
}  // namespace longgen
