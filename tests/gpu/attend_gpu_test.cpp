// The attend op on a GPU, forward and backward: every row against fp64, bit-equal from run to run,
// and what it refuses.
#include <gtest/gtest.h>

#include <cmath>

#include "longgen/base/check.h"
#include "tests/gpu/gpu_test.h"
#include "tests/numerics/attend_truth.h"
#include "tests/unit/error_text.h"

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

/// Where the truth is computed. Short sequences have it on the CPU, so that compute-sanitizer sees
/// no kernels but ours.
at::Device truth_device(const AttendCase& c) {
  return c.num_queries * c.num_keys * c.num_heads < (1 << 20) ? at::Device(at::kCPU) : kGpu;
}

class AttendGpuTest : public GpuTest, public testing::WithParamInterface<GpuCase> {};

TEST_P(AttendGpuTest, EveryRowIsRightAndRunsAreBitEqual) {
  const AttendCase c = GetParam().shape;
  const Pattern pattern = Pattern::parse(c.pattern);
  Qkv x = random_qkv(c).to(torch::kBFloat16);
  x.q_THD = x.q_THD * GetParam().query_factor;
  torch::manual_seed(3);
  const torch::Tensor grad_out_THD = torch::randn(x.q_THD.sizes()).to(torch::kBFloat16);
  const auto run = [&] {
    return results_of(attend, x.to(kGpu), on_gpu(grad_out_THD), pattern, c.options());
  };
  const AttendResults ours = run(), again = run();
  {
    const at::Device device = truth_device(c);
    const AttendTruth truth(x.to(device), grad_out_THD.to(device), pattern, c.options());
    EXPECT_EQ(wrong_results(ours.to(device), truth), "") << GetParam();
  }
  EXPECT_TRUE(torch::equal(ours.out, again.out)) << "out " << GetParam();
  EXPECT_TRUE(torch::equal(ours.lse, again.lse)) << "lse " << GetParam();
  // cuDNN adds the terms of its gradients in another order in every run.
  if (is_left_to_cudnn(c.num_queries, c.num_keys, pattern, c.options().doc_starts)) return;
  for (const auto& [name, member] :
       std::vector<std::pair<const char*, torch::Tensor AttendResults::*>>{
           {"grad_q", &AttendResults::grad_q},
           {"grad_k", &AttendResults::grad_k},
           {"grad_v", &AttendResults::grad_v}}) {
    EXPECT_TRUE(torch::equal(ours.*member, again.*member)) << name << " " << GetParam();
  }
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
  const auto refused = [](const torch::Tensor& x) {
    return error_of([&] { attend(x, x, x, Pattern::sparse(1, 2)); });
  };
  EXPECT_TRUE(contains(refused(torch::zeros({4, 2, 64}).cuda()), "must be bfloat16"));
  EXPECT_TRUE(contains(refused(torch::zeros({4, 2, 80}).to(torch::kBFloat16).cuda()), "64 or 128"));
}

}  // namespace
}  // namespace longgen
