// linear_distillation and the row weights of both losses: against fp64, gradients, chunks, errors.
#include "longgen/ops/linear_distillation.h"

#include <cmath>

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

struct Case {
  int64_t num_rows, width, teacher_width, num_classes, chunk_rows;
  double share;

  /// Makes hidden, weight, and the teacher's; the student is near its teacher, as in training.
  std::vector<at::Tensor> inputs() const {
    at::manual_seed(num_rows * 131 + width);
    const auto weight = [&](int64_t columns) {
      return at::randn({num_classes, columns}) * (2 / std::sqrt(static_cast<double>(columns)));
    };
    return {at::randn({num_rows, width}), weight(width), at::randn({num_rows, teacher_width}),
            weight(teacher_width)};
  }
  /// Every fifth row has no target.
  at::Tensor targets() const {
    at::Tensor result = at::randint(0, num_classes, {num_rows}, at::kLong);
    result.slice(0, 2, num_rows, 5).fill_(kNoTarget);
    return result;
  }
  at::Tensor weights() const { return at::rand({num_rows}) * 3; }
  std::string name() const {
    return c10::str("T ", num_rows, " V ", num_classes, " chunk ", chunk_rows, " share ", share);
  }
};

std::vector<Case> cases() {
  return {{0, 8, 8, 100, 7, 0.5},        {1, 1, 3, 5, 512, 1},     {65, 64, 32, 1003, 7, 0.3},
          {65, 576, 576, 1000, 65, 0.5}, {130, 7, 9, 9000, 64, 1}, {65, 3, 3, 1, 7, 0}};
}

/// The loss of in[0] and in[1], with teacher and weights as constants in the same type.
Op ours(const Case& c, const std::vector<at::Tensor>& all, const at::Tensor& targets_T,
        const at::Tensor& row_weights_T) {
  return [=](const std::vector<at::Tensor>& in) {
    return linear_distillation(in[0], in[1], targets_T, {all[2], all[3]}, c.share, c.chunk_rows,
                               row_weights_T)
               .loss *
           0.37;
  };
}

at::Tensor wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

Op plain(const Case& c, const std::vector<at::Tensor>& all, const at::Tensor& targets_T,
         const at::Tensor& row_weights_T) {
  return [=](const std::vector<at::Tensor>& in) {
    const at::Tensor log_p = wide(at::mm(in[0], in[1].t())).log_softmax(1);
    const at::Tensor log_q = wide(at::mm(all[2], all[3].t())).log_softmax(1);
    const at::Tensor ce = -log_p.gather(1, targets_T.clamp_min(0).unsqueeze(1)).squeeze(1);
    const at::Tensor kl = (log_q.exp() * (log_q - log_p)).sum(1);
    const at::Tensor of_rows = ce * (1 - c.share) + kl * c.share;
    return (of_rows * row_weights_T).masked_fill(targets_T.lt(0), 0).sum() * 0.37;
  };
}

TEST(LinearDistillationTest, ErrorIsWithinTwicePlainTorch) {
  for (const Case& c : cases()) {
    const at::Tensor targets = c.targets(), weights = c.weights(), one = at::ones({});
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto all = as_type(c.inputs(), type), exact = as_type(all, at::kDouble);
      const std::vector<at::Tensor> in = {all[0], all[1]}, exact_in = {exact[0], exact[1]};
      const OpResult truth = run_op(plain(c, exact, targets, weights), exact_in, one);
      const OpResult torch = run_op(plain(c, all, targets, weights), in, one);
      const OpResult mine = run_op(ours(c, all, targets, weights), in, one);
      expect_within_twice(mine.out, torch.out, truth.out, at::kFloat, c.name());
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type,
                          c.name() + " dhidden");
      expect_within_twice(mine.grads[1], torch.grads[1], truth.grads[1], type,
                          c.name() + " dweight");
    }
  }
}

TEST(LinearDistillationTest, Fp64IsThePlainFormulaInChunksOfAnySize) {
  for (Case c : cases()) {
    const at::Tensor targets = c.targets(), weights = c.weights(), one = at::ones({});
    const auto all = as_type(c.inputs(), at::kDouble);
    const std::vector<at::Tensor> in = {all[0], all[1]};
    const OpResult truth = run_op(plain(c, all, targets, weights), in, one);
    for (const int64_t chunk_rows : {c.chunk_rows, int64_t{1}, kChunkRowsOfDevice}) {
      c.chunk_rows = chunk_rows;
      const OpResult mine = run_op(ours(c, all, targets, weights), in, one);
      EXPECT_LE(max_abs_diff(mine.out, truth.out), 1e-11 * (1 + max_abs(truth.out))) << c.name();
      for (int i = 0; i < 2; ++i) {
        EXPECT_LE(max_abs_diff(mine.grads[i], truth.grads[i]), 1e-12) << c.name();
      }
    }
  }
}

TEST(LinearDistillationTest, TellsWhatTheLossIsMadeOf) {
  const Case c = {65, 64, 32, 1003, 16, 0.25};
  const auto in = c.inputs();
  const at::Tensor targets = c.targets(), weights = c.weights();
  const DistillationLoss loss =
      linear_distillation(in[0], in[1], targets, {in[2], in[3]}, c.share, 16, weights);
  EXPECT_TRUE(
      same_bits(loss.cross_entropy, linear_cross_entropy(in[0], in[1], targets, 16, weights)));
  EXPECT_GT(loss.divergence.item<double>(), 0);
  const double expected =
      0.75 * loss.cross_entropy.item<double>() + 0.25 * loss.divergence.item<double>();
  EXPECT_NEAR(loss.loss.item<double>(), expected, 1e-6 * expected);
}

TEST(LinearDistillationTest, FromItselfThereIsNothingToLearn) {
  const Case c = {65, 48, 48, 9001, 16, 1};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto in = as_type(c.inputs(), type);
    const at::Tensor targets = c.targets();
    const Op self = [&](const auto& x) {
      const DistillationLoss loss = linear_distillation(
          x[0], x[1], targets, {x[0].detach(), x[1].detach()}, 1, 16, c.weights());
      EXPECT_EQ(loss.divergence.template item<double>(), 0);
      EXPECT_GT(loss.cross_entropy.template item<double>(), 0);
      return loss.loss;
    };
    const OpResult result = run_op(self, {in[0], in[1]}, at::ones({}));
    EXPECT_EQ(result.out.item<double>(), 0);
    EXPECT_EQ(max_abs(result.grads[0]), 0);
    EXPECT_EQ(max_abs(result.grads[1]), 0);
  }
}

TEST(LinearDistillationTest, LogitsOfBothAreHeldOneChunkAtATime) {
  const Case c = {1000, 8, 8, 3000, 50, 0.5};
  const at::Tensor targets = c.targets();
  auto in = c.inputs();
  in[0].requires_grad_(), in[1].requires_grad_();
  const int64_t logits = 2 * 50 * 3000 * 4, losses = 2 * 1000 * 8, gradient = 4 * 8;
  EXPECT_LE(peak_tensor_bytes([&] {
              return linear_distillation(in[0], in[1], targets, {in[2], in[3]}, 0.5, 50);
            }),
            logits + losses + (1000 + 3000) * gradient + 256);
}

TEST(LinearDistillationTest, ThreadsDoNotChangeABit) {
  const Case c = {519, 64, 32, 5000, 128, 0.5};
  const at::Tensor targets = c.targets(), weights = c.weights();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto in = as_type(c.inputs(), type);
    expect_same_bits_on_any_threads([&] {
      const DistillationLoss loss =
          linear_distillation(in[0], in[1], targets, {in[2], in[3]}, 0.5, 128, weights);
      return std::vector<at::Tensor>{loss.loss, loss.cross_entropy, loss.divergence};
    });
  }
}

TEST(LinearDistillationTest, ErrorsNameWhatWasFound) {
  const at::Tensor hidden = at::zeros({3, 4}), weight = at::zeros({10, 4});
  const at::Tensor targets = at::zeros({3}, at::kLong);
  const auto error = [&](const DistillationTeacher& teacher, double share = 0.5,
                         const at::Tensor& weights = {}) {
    return error_of([&] {
      linear_distillation(hidden, weight, targets, teacher, share, kChunkRowsOfDevice, weights);
    });
  };
  const at::Tensor hidden2 = at::zeros({3, 2}), weight2 = at::zeros({10, 2});
  EXPECT_EQ(error({hidden2, weight2}), "");
  const std::string vocabulary = error({hidden2, at::zeros({11, 2})});
  expect_contains(vocabulary, "[linear_distillation] the teacher's hidden must be (T, E') and its");
  expect_contains(vocabulary, "teacher's weight [11, 2] Float cpu");
  expect_contains(error({at::zeros({4, 2}), weight2}), "teacher's hidden [4, 2] Float cpu");
  expect_contains(error({hidden2, at::zeros({10, 3})}), "teacher's weight [10, 3] Float cpu");
  expect_contains(error({hidden2.to(at::kBFloat16), weight2}), "dtype and device");
  expect_contains(error({hidden2, weight2}, 1.5), "share must be within 0 to 1, found 1.5");
  expect_contains(error({}), "expected a teacher, found undefined tensors");
  expect_contains(error({hidden2, weight2}, 0.5, at::ones({2})),
                  "row weights must be float32, one for each row of hidden");
}

TEST(RowWeightsTest, CountARowAsOftenAsTheySay) {
  const Case c = {65, 64, 64, 1003, 16, 0};
  const auto in = c.inputs();
  const at::Tensor targets = c.targets();
  const auto run = [&](const at::Tensor& weights) {
    const Op loss = [&](const auto& x) {
      return linear_cross_entropy(x[0], x[1], targets, 16, weights);
    };
    return run_op(loss, {in[0], in[1]}, at::ones({}));
  };
  const OpResult without = run({}), once = run(at::ones({65})), twice = run(at::full({65}, 2.0));
  EXPECT_TRUE(same_bits(once.out, without.out));
  EXPECT_TRUE(same_bits(twice.out, without.out * 2));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(same_bits(once.grads[i], without.grads[i]));
    EXPECT_TRUE(same_bits(twice.grads[i], without.grads[i] * 2));
  }
  // A row of weight 0 is a row without a target.
  at::Tensor some = at::ones({65}), fewer = targets.clone();
  some[7] = 0, fewer[7] = kNoTarget;
  const OpResult zero = run(some);
  EXPECT_EQ(max_abs(zero.grads[0][7]), 0);
  EXPECT_TRUE(same_bits(zero.out, linear_cross_entropy(in[0], in[1], fewer, 16)));
}

}  // namespace
}  // namespace longgen
