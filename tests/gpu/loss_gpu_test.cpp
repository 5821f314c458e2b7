// Cross-entropy and distillation on the GPU: against fp64, determinism, sizes beyond 32 bits,
// errors.
#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/ops/linear_distillation.h"
#include "tests/gpu/ops_gpu_test.h"

namespace longgen {
namespace {

class LossGpu : public GpuTest {};

struct LossCase {
  int64_t num_rows, width, num_classes, chunk_rows;
};

at::Tensor loss_targets(const LossCase& c) {
  at::Tensor targets = at::randint(c.num_classes, {c.num_rows}, at::kLong);
  targets.slice(0, 0, c.num_rows, 5).fill_(kNoTarget);
  return targets;
}

TEST_F(LossGpu, LinearCrossEntropy) {
  at::manual_seed(7);
  const std::vector<LossCase> cases = {
      {1, 8, 3, 0}, {33, 64, 1001, 10}, {130, 64, 20'000, 64}, {65, 576, 49'152, 0}};
  for (const LossCase& c : cases) {
    const at::Tensor targets = loss_targets(c);
    const Op ours = [&](const auto& in) {
      return linear_cross_entropy(in[0], in[1], on_gpu(targets), c.chunk_rows) * 0.37;
    };
    const Op plain = [&](const auto& in) {
      const at::Tensor logits = at::mm(in[0], in[1].t());
      const at::Tensor x = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
      return at::nll_loss(at::log_softmax(x, 1), targets, {}, at::Reduction::Sum, kNoTarget) * 0.37;
    };
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Input hidden = {at::randn({c.num_rows, c.width})},
                  weight = {at::randn({c.num_classes, c.width}) * 0.2};
      const at::Tensor one = at::ones({});
      const OpResult truth = run_op(plain, {hidden.exact(type), weight.exact(type)}, one);
      const OpResult torch = run_op(plain, {hidden.cpu(type), weight.cpu(type)}, one);
      const OpResult mine = run_on_gpu(ours, {hidden, weight}, type, one);
      const std::string what = c10::str("T ", c.num_rows, " V ", c.num_classes);
      expect_within_twice(mine.out, torch.out, truth.out, at::kFloat, what);
      for (int i = 0; i < 2; ++i) {
        expect_within_twice(mine.grads[i], torch.grads[i], truth.grads[i], type, what);
      }
      const OpResult again = run_on_gpu(ours, {hidden, weight}, type, one);
      EXPECT_TRUE(same_bits(mine.out, again.out)) << what;
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(mine.grads[i], again.grads[i])) << what;
    }
  }
}

TEST_F(LossGpu, Distillation) {
  for (const LossCase& c : {LossCase{200, 64, 5000, 64}, LossCase{65, 24, 1003, 7}}) {
    at::manual_seed(c.num_rows);
    const at::Tensor targets = loss_targets(c), weights = at::rand({c.num_rows}) * 3;
    const at::Tensor one = at::ones({});
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto numbers = [&](int64_t rows, int64_t columns, double scale) {
        return (at::randn({rows, columns}) * scale).to(type);
      };
      const std::vector<at::Tensor> in = {numbers(c.num_rows, c.width, 1),
                                          numbers(c.num_classes, c.width, 0.2)};
      const DistillationTeacher teacher = {numbers(c.num_rows, 16, 1),
                                           numbers(c.num_classes, 16, 0.4)};
      const auto run = [&](const at::Device device, const at::ScalarType as) {
        const auto there = [&](const at::Tensor& x) { return x.to(as).to(device); };
        const Op loss = [&](const auto& x) {
          return linear_distillation(x[0], x[1], targets.to(device),
                                     {there(teacher.hidden_TE), there(teacher.weight_VE)}, 0.3,
                                     c.chunk_rows, weights.to(device))
              .loss;
        };
        return to_cpu(run_op(loss, {there(in[0]), there(in[1])}, one.to(device)));
      };
      const OpResult truth = run(at::kCPU, at::kDouble), cpu = run(at::kCPU, type);
      const OpResult mine = run(kGpu, type), again = run(kGpu, type);
      const std::string what = c10::str("T ", c.num_rows, " V ", c.num_classes);
      expect_within_twice(mine.out, cpu.out, truth.out, at::kFloat, what, truth.out);
      EXPECT_TRUE(same_bits(mine.out, again.out)) << what;
      for (int i = 0; i < 2; ++i) {
        expect_within_twice(mine.grads[i], cpu.grads[i], truth.grads[i], type, what);
        EXPECT_TRUE(same_bits(mine.grads[i], again.grads[i])) << what;
      }
    }
  }
}

/// The kernel alone, without the product before it: racecheck reports hazards in cuBLAS.
TEST_F(LossGpu, DivergenceOfKnownLogits) {
  constexpr int64_t kClasses = 20'001;
  constexpr double kShare = 0.3;
  const at::Tensor logits = on_gpu(at::zeros({3, kClasses})), teacher = at::zeros_like(logits);
  teacher.select(1, 0).fill_(std::log(kClasses - 1.0));  // half of all for class 0
  const at::Tensor targets = on_gpu(at::tensor({int64_t{5}, int64_t{0}, kNoTarget}));
  const at::TensorOptions doubles = at::TensorOptions(kGpu).dtype(at::kDouble);
  const at::Tensor losses = at::zeros({3}, doubles), divergences = at::zeros({3}, doubles);
  gpu::ops().distillation(logits, teacher, kShare, targets, losses, divergences, true);

  const double other = 0.5 / (kClasses - 1),
               divergence = 0.5 * std::log(0.5 * kClasses) + 0.5 * std::log(other * kClasses);
  const at::Tensor gradient = at::full({3, kClasses}, 1.0 / kClasses - kShare * other, at::kDouble);
  gradient.select(1, 0).fill_(1.0 / kClasses - kShare * 0.5);
  gradient[0][5] -= 1 - kShare;
  gradient[1][0] -= 1 - kShare;
  gradient[2].zero_();
  const auto rows = [](double x) { return at::tensor({x, x, 0.0}, at::kDouble); };
  EXPECT_LE(max_abs_diff(losses.cpu(), rows(std::log(kClasses))), 1e-5);
  EXPECT_LE(max_abs_diff(divergences.cpu(), rows(divergence)), 1e-5);
  EXPECT_LE(max_abs_diff(logits.cpu(), gradient), 1e-6);
}

TEST_F(LossGpu, FromItselfThereIsNothingToLearn) {
  at::manual_seed(3);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor hidden = on_gpu(at::randn({65, 64}).to(type)),
                     weight = on_gpu(at::randn({5003, 64}).to(type));
    const at::Tensor targets = on_gpu(at::randint(5003, {65}, at::kLong));
    at::Tensor student = hidden.clone().requires_grad_();
    const DistillationLoss loss =
        linear_distillation(student, weight, targets, {hidden, weight}, 1, 16);
    loss.loss.backward();
    EXPECT_EQ(loss.divergence.item<double>(), 0);
    EXPECT_EQ(max_abs(student.grad()), 0);
  }
}

TEST_F(LossGpu, WeightGradientsOfManyChunksAreAddedInFp32) {
  at::manual_seed(8);
  const at::Tensor hidden = at::randn({512, 64}).to(at::kBFloat16),
                   weight = at::randn({100, 64}).to(at::kBFloat16);
  const at::Tensor targets = at::randint(100, {512}, at::kLong);
  const auto gradient = [&](at::Device device, int64_t chunk_rows) {
    const at::Tensor leaf = weight.to(device).requires_grad_();
    linear_cross_entropy(hidden.to(device), leaf, targets.to(device), chunk_rows).backward();
    return leaf.grad().cpu().to(at::kDouble);
  };
  const at::Tensor whole = gradient(kGpu, 512);
  EXPECT_LE(max_abs_diff(gradient(kGpu, 2), whole), 2 * spacing(whole, at::kBFloat16));
}

TEST_F(LossGpu, TargetLogprobs) {
  at::manual_seed(9);
  const LossCase c = {200, 64, 5000, 64};
  const at::Tensor targets = loss_targets(c), hidden = at::randn({c.num_rows, c.width}),
                   weight = at::randn({c.num_classes, c.width}) * 0.2;
  const at::Tensor mine =
      target_logprobs(on_gpu(hidden), on_gpu(weight), on_gpu(targets), 64).cpu();
  const at::Tensor truth =
      target_logprobs(hidden.to(at::kDouble), weight.to(at::kDouble), targets, 64);
  EXPECT_LE(max_abs_diff(mine, truth), 8 * spacing(truth, at::kFloat));
  EXPECT_EQ(mine[0].item<float>(), 0.0F);  // no target
}

TEST_F(LossGpu, WrongTargetsAreNamed) {
  const at::Tensor hidden = at::zeros({3, 8}, kGpu), weight = at::zeros({10, 8}, kGpu);
  const auto error = [&](int64_t value) {
    const at::Tensor targets = on_gpu(at::tensor(std::vector<int64_t>{0, value, 1}));
    const std::string text = error_of([&] { linear_cross_entropy(hidden, weight, targets); });
    EXPECT_EQ(error_of([&] { target_logprobs(hidden, weight, targets); }), text);
    return text;
  };
  expect_contains(error(10), "target 10 of row 1 is not in the vocabulary of 10 tokens");
  expect_contains(error(-100), "target -100 of row 1");
}

TEST_F(LossGpu, InfiniteLogitsLeaveTheOthersAlone) {
  at::Tensor logits = at::zeros({3, 20'000});
  logits.narrow(1, 0, 19'999).fill_(-INFINITY);  // whole threads see nothing else
  logits[1].fill_(-INFINITY);
  logits[2][7] = NAN;
  const at::Tensor device = on_gpu(logits),
                   losses = at::zeros({3}, at::TensorOptions(kGpu).dtype(at::kDouble));
  gpu::ops().cross_entropy(device, on_gpu(at::full({3}, 19'999, at::kLong)), losses, true);
  EXPECT_EQ(losses[0].item<double>(), 0.0);
  EXPECT_EQ(max_abs(device[0]), 0.0);
  EXPECT_TRUE(std::isnan(losses[1].item<double>()));
  EXPECT_TRUE(std::isnan(losses[2].item<double>()));
}

TEST_F(LossGpu, MoreThanTwoToThe31Logits) {
  constexpr int64_t kRows = 4100, kClasses = 600'000;  // 4.9 GB
  const at::TensorOptions options = at::TensorOptions(kGpu).dtype(at::kBFloat16);
  const at::Tensor logits = at::zeros({kRows, kClasses}, options);
  const at::Tensor losses = at::empty({kRows}, options.dtype(at::kDouble));
  const at::Tensor targets = at::arange(kRows, options.dtype(at::kLong)) + kClasses - kRows;
  gpu::ops().cross_entropy(logits, targets, losses, true);
  EXPECT_LE(max_abs_diff(losses.cpu(), at::full({kRows}, std::log(double{kClasses}), at::kDouble)),
            1e-6);
  const at::Tensor last = logits[kRows - 1].cpu().to(at::kDouble);
  EXPECT_EQ(last[kClasses - 1].item<double>(), -1.0);
  EXPECT_NEAR(last[kClasses - 2].item<double>(), 1.0 / kClasses, 0x1p-8 / kClasses);
  EXPECT_TRUE(logits.gather(1, targets.unsqueeze(1)).eq(-1).all().item<bool>());
  EXPECT_EQ(logits.gt(0).sum().item<int64_t>(), kRows * (kClasses - 1));
}

}  // namespace
}  // namespace longgen
