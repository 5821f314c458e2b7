// The attend op on a GPU, forward and backward: against the reference in fp64, bit-equal from run
// to run, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>

#include "longgen/base/check.h"
#include "tests/gpu/gpu_test.h"
#include "tests/numerics/attend_cases.h"

namespace longgen {
namespace {

struct GpuCase {
  AttendCase shape;
  double query_factor = 1;  // large: rows whose softmax has one winner
};

std::ostream& operator<<(std::ostream& out, const GpuCase& c) {
  return out << c.shape << " queries times " << c.query_factor;
}

std::vector<GpuCase> gpu_cases() {
  std::vector<GpuCase> cases;
  for (const int64_t size : {64, 128}) {
    for (const std::string pattern :
         {"full", "sink", "sink=1,window=2", "sink=1,window=1,stride=3", "sink=0,window=3,stride=4",
          "blocksparse", "sink=2,window=5,stride=1"}) {
      const std::vector<AttendCase> shapes = {
          {1, 1, 2, 1, size, pattern},
          {64, 64, 1, 1, size, pattern},
          {65, 65, 3, 1, size, pattern},
          {128, 128, 2, 2, size, pattern},
          {300, 300, 4, 2, size, pattern},
          {777, 777, 9, 3, size, pattern},
          {1, 1000, 8, 1, size, pattern},
          {70, 613, 4, 4, size, pattern},
          {2100, 2100, 16, 1, size, pattern},
          {1024, 3000, 4, 1, size, pattern},
          {500, 500, 6, 2, size, pattern, {0, 1, 64, 65, 193, 450}}};
      for (const AttendCase& shape : shapes) cases.push_back({shape});
      cases.push_back({{1500, 1500, 2, 1, size, pattern}, 30});
    }
    cases.push_back({{9000, 9000, 2, 1, size, "sink"}});
  }
  return cases;
}

struct Results {
  torch::Tensor out, lse, grad_q, grad_k, grad_v;
};

template <typename Attend>
Results results_of(const Attend& op, const Qkv& x, const AttendCase& c) {
  const auto leaf = [](const torch::Tensor& t) { return t.detach().requires_grad_(); };
  const Qkv leaves = {leaf(x.q_THD), leaf(x.k_SKD), leaf(x.v_SKD)};
  const Attended result =
      op(leaves.q_THD, leaves.k_SKD, leaves.v_SKD, Pattern::parse(c.pattern), c.options());
  torch::manual_seed(3);
  const torch::Tensor weights =
      torch::randn(result.out_THD.sizes()).to(torch::kBFloat16).to(result.out_THD);
  (result.out_THD * weights).sum().backward();
  return {result.out_THD.detach(), result.lse_HT, leaves.q_THD.grad(), leaves.k_SKD.grad(),
          leaves.v_SKD.grad()};
}

class AttendGpuTest : public GpuTest, public testing::WithParamInterface<GpuCase> {};

TEST_P(AttendGpuTest, ErrorIsWithinTwicePlainTorchAndRunsAreBitEqual) {
  const AttendCase c = GetParam().shape;
  Qkv x = random_qkv(c).to(torch::kBFloat16);
  x.q_THD = x.q_THD * GetParam().query_factor;
  const Qkv on_gpu = {x.q_THD.cuda(), x.k_SKD.cuda(), x.v_SKD.cuda()};
  const Results truth = results_of(attend_reference, on_gpu.to(torch::kDouble), c);
  const Results plain = results_of(attend_reference, on_gpu, c);
  const Results ours = results_of(attend, on_gpu, c), again = results_of(attend, on_gpu, c);
  for (const auto& [name, member] : std::vector<std::pair<const char*, torch::Tensor Results::*>>{
           {"out", &Results::out},
           {"grad_q", &Results::grad_q},
           {"grad_k", &Results::grad_k},
           {"grad_v", &Results::grad_v}}) {
    EXPECT_LE(max_abs_diff(ours.*member, truth.*member),
              2 * max_abs_diff(plain.*member, truth.*member) +
                  2 * spacing(truth.*member, torch::kBFloat16) + 1e-6)
        << name << " " << GetParam();
    // cuDNN, which has the full layers of one sequence, adds in another order in every run.
    if (c.pattern != "full") {
      EXPECT_TRUE(torch::equal(ours.*member, again.*member)) << name << " " << GetParam();
    }
  }
  EXPECT_TRUE(torch::equal(ours.lse.isinf(), truth.lse.isinf())) << GetParam();
  const torch::Tensor finite = truth.lse.masked_fill(truth.lse.isinf(), 0.0);
  EXPECT_LE(max_abs_diff(ours.lse.masked_fill(ours.lse.isinf(), 0.0), finite),
            1e-3 * std::max(1.0, max_abs(finite)))
      << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Cases, AttendGpuTest, testing::ValuesIn(gpu_cases()));

class AttendGpuErrorTest : public GpuTest {};

TEST_F(AttendGpuErrorTest, RowsWithoutAKeyAreZeroWithLseMinusInfinity) {
  const auto x = random_qkv({200, 200, 4, 2, 64, ""}).to(torch::kBFloat16);
  const Attended result =
      attend(x.q_THD.cuda(), x.k_SKD.cuda(), x.v_SKD.cuda(), Pattern::sparse(0, 0, 2, {0, 1}));
  // KV head 1 sees blocks 1 and 3: the queries of block 0 see nothing.
  EXPECT_EQ(max_abs(result.out_THD.slice(0, 0, 64).slice(1, 2, 4)), 0.0);
  EXPECT_TRUE((result.lse_HT.slice(0, 2, 4).slice(1, 0, 64) == -INFINITY).all().item<bool>());
}

TEST_F(AttendGpuErrorTest, SlicesOfAFusedProjectionAreReadInPlace) {
  torch::manual_seed(5);
  const auto heads = torch::randn({600, 8, 128}).to(torch::kBFloat16).cuda();
  const auto parts = heads.split_with_sizes({4, 2, 2}, 1);
  const Pattern pattern = Pattern::sparse(1, 3);
  EXPECT_TRUE(torch::equal(
      attend(parts[0], parts[1], parts[2], pattern).out_THD,
      attend(parts[0].contiguous(), parts[1].contiguous(), parts[2].contiguous(), pattern)
          .out_THD));
}

TEST_F(AttendGpuErrorTest, RefusesWhatTheKernelsCannotDo) {
  const auto error_of = [](const torch::Tensor& x) -> std::string {
    try {
      attend(x, x, x, Pattern::sparse(1, 2));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(error_of(torch::zeros({4, 2, 64}).cuda()).find("must be bfloat16"), std::string::npos);
  EXPECT_NE(error_of(torch::zeros({4, 2, 80}).to(torch::kBFloat16).cuda()).find("64 or 128"),
            std::string::npos);
}

}  // namespace
}  // namespace longgen
