// linear_cross_entropy and target_logprobs: against fp64, gradients, memory, determinism, errors.
#include "longgen/ops/linear_cross_entropy.h"

#include <cmath>

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

struct Case {
  int64_t num_rows, width, num_classes, chunk_rows;
  std::vector<at::Tensor> inputs() const {
    at::manual_seed(num_rows * 131 + width);
    return {at::randn({num_rows, width}),
            at::randn({num_classes, width}) * (2 / std::sqrt(static_cast<double>(width)))};
  }
  /// Every fifth row has no target.
  at::Tensor targets() const {
    at::Tensor result = at::randint(0, num_classes, {num_rows}, at::kLong);
    result.slice(0, 2, num_rows, 5).fill_(kNoTarget);
    return result;
  }
  std::string name() const {
    return c10::str("T ", num_rows, " E ", width, " V ", num_classes, " chunk ", chunk_rows);
  }
};

std::vector<Case> cases() {
  return {{0, 576, 100, 7},   {1, 1, 5, 512},     {1, 576, 1003, 7},  {3, 7, 11, 2},
          {65, 576, 1003, 7}, {65, 64, 1000, 65}, {130, 7, 9000, 64}, {65, 3, 1, 7}};
}

Op ours(const Case& c, const at::Tensor& targets_T) {
  return [=](const std::vector<at::Tensor>& in) {
    return linear_cross_entropy(in[0], in[1], targets_T, c.chunk_rows) * 0.37;
  };
}

at::Tensor plain_logprobs(const at::Tensor& hidden, const at::Tensor& weight,
                          const at::Tensor& targets_T) {
  const at::Tensor logits = at::mm(hidden, weight.t());
  const at::Tensor wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
  return wide.log_softmax(1)
      .gather(1, targets_T.clamp_min(0).unsqueeze(1))
      .squeeze(1)
      .masked_fill(targets_T.lt(0), 0);
}

/// In num_chunks pieces, because the error of ATen's fp32 product depends on its number of rows: it
/// doubles at 5 to 11.
Op plain(const at::Tensor& targets_T, int64_t num_chunks = 1) {
  return [=](const std::vector<at::Tensor>& in) {
    const auto hidden = in[0].tensor_split(num_chunks),
               targets = targets_T.tensor_split(num_chunks);
    at::Tensor sum = at::zeros({}, in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    for (size_t i = 0; i < hidden.size(); ++i) {
      sum = sum - plain_logprobs(hidden[i], in[1], targets[i]).sum();
    }
    return sum * 0.37;
  };
}

TEST(LinearCrossEntropyTest, ErrorIsWithinTwicePlainTorch) {
  for (const Case& c : cases()) {
    const at::Tensor targets = c.targets(), one = at::ones({});
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto in = as_type(c.inputs(), type);
      const OpResult truth = run_op(plain(targets), as_type(in, at::kDouble), one);
      // bf16 pieces would add up in bf16, which is too easy to beat.
      const int64_t num_chunks = (c.num_rows + c.chunk_rows - 1) / c.chunk_rows;
      const OpResult torch = run_op(
          plain(targets, type == at::kFloat ? std::max<int64_t>(1, num_chunks) : 1), in, one);
      const OpResult mine = run_op(ours(c, targets), in, one);
      const std::string name = c.name();
      expect_within_twice(mine.out, torch.out, truth.out, at::kFloat, name);
      expect_within_twice(mine.grads[0], torch.grads[0], truth.grads[0], type, name + " dhidden");
      expect_within_twice(mine.grads[1], torch.grads[1], truth.grads[1], type, name + " dweight");
    }
  }
}

TEST(LinearCrossEntropyTest, Fp64IsThePlainFormula) {
  for (const Case& c : cases()) {
    const at::Tensor targets = c.targets(), one = at::ones({});
    const auto in = as_type(c.inputs(), at::kDouble);
    const OpResult truth = run_op(plain(targets), in, one),
                   mine = run_op(ours(c, targets), in, one);
    EXPECT_EQ(mine.out.scalar_type(), at::kDouble);
    EXPECT_LE(max_abs_diff(mine.out, truth.out), 1e-12 * (1 + max_abs(truth.out))) << c.name();
    for (int i = 0; i < 2; ++i) {
      EXPECT_LE(max_abs_diff(mine.grads[i], truth.grads[i]), 1e-13) << c.name();
    }
  }
}

TEST(TargetLogprobsTest, ErrorIsWithinTwicePlainTorch) {
  for (const Case& c : cases()) {
    const at::Tensor targets = c.targets();
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto in = as_type(c.inputs(), type), exact = as_type(in, at::kDouble);
      const at::Tensor mine = target_logprobs(in[0], in[1], targets, c.chunk_rows);
      expect_within_twice(mine, plain_logprobs(in[0], in[1], targets),
                          plain_logprobs(exact[0], exact[1], targets), at::kFloat, c.name());
      const at::Tensor no_target = mine.masked_select(targets.lt(0));
      EXPECT_TRUE(same_bits(no_target, at::zeros_like(no_target)));  // not -0
    }
    const auto in = as_type(c.inputs(), at::kDouble);
    EXPECT_LE(max_abs_diff(target_logprobs(in[0], in[1], targets, c.chunk_rows),
                           plain_logprobs(in[0], in[1], targets)),
              1e-12);
  }
}

TEST(LinearCrossEntropyTest, WeightGradientOfManyBf16ChunksIsAddedInFp32) {
  // 2000 chunks of one row, each adding the same -0.5 or 0.5: a bf16 sum would stop growing at 128.
  const at::Tensor hidden = at::ones({2000, 1}, at::kBFloat16);
  const at::Tensor weight = at::zeros({2, 1}, at::kBFloat16);
  const at::Tensor targets = at::zeros({2000}, at::kLong);
  const Op loss = [&](const auto& in) { return linear_cross_entropy(in[0], in[1], targets, 1); };
  const OpResult result = run_op(loss, {hidden, weight}, at::ones({}));
  EXPECT_EQ(result.grads[1][0].item<double>(), -1000.0);
  EXPECT_EQ(result.grads[1][1].item<double>(), 1000.0);
  EXPECT_NEAR(result.out.item<double>(), 2000 * std::log(2.0), 1e-3);
}

TEST(LinearCrossEntropyTest, OneGradientIsTheSameAsBoth) {
  const Case c = {65, 48, 300, 16};
  const auto in = c.inputs();
  const at::Tensor targets = c.targets(), one = at::ones({});
  const OpResult both = run_op(ours(c, targets), in, one);
  const Op of_hidden = [&](const auto& x) { return ours(c, targets)({x[0], in[1]}); };
  const Op of_weight = [&](const auto& x) { return ours(c, targets)({in[0], x[0]}); };
  const OpResult hidden = run_op(of_hidden, {in[0]}, one), weight = run_op(of_weight, {in[1]}, one);
  EXPECT_TRUE(same_bits(hidden.grads[0], both.grads[0]));
  EXPECT_TRUE(same_bits(weight.grads[0], both.grads[1]));
  EXPECT_TRUE(same_bits(hidden.out, both.out));
  EXPECT_TRUE(same_bits(linear_cross_entropy(in[0], in[1], targets, 16) * 0.37, both.out));
}

TEST(LinearCrossEntropyTest, NoTargetsGiveZeroLossAndZeroGradients) {
  const Case c = {20, 16, 50, 7};
  const at::Tensor targets = at::full({20}, kNoTarget, at::kLong);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const OpResult result = run_op(ours(c, targets), as_type(c.inputs(), type), at::ones({}));
    EXPECT_EQ(result.out.item<double>(), 0.0);
    EXPECT_EQ(max_abs(result.grads[0]), 0.0);
    EXPECT_EQ(max_abs(result.grads[1]), 0.0);
  }
}

TEST(LinearCrossEntropyTest, HugeLogitsStayFinite) {
  at::Tensor hidden = at::tensor({1e4F, -1e4F}).unsqueeze(1);
  const at::Tensor weight = at::tensor({1.0F, -1.0F, 0.5F}).unsqueeze(1);
  const at::Tensor logprobs = target_logprobs(hidden, weight, at::tensor({0, 0}, at::kLong));
  EXPECT_TRUE(at::equal(logprobs, at::tensor({0.0F, -2e4F})));
}

TEST(LinearCrossEntropyTest, NanReachesTheLoss) {
  at::Tensor hidden = at::randn({5, 4});
  hidden[3][1] = NAN;
  const at::Tensor weight = at::randn({40, 4}), targets = at::arange(5);
  EXPECT_TRUE(std::isnan(linear_cross_entropy(hidden, weight, targets).item<float>()));
  const at::Tensor logprobs = target_logprobs(hidden, weight, targets);
  EXPECT_EQ(logprobs.isnan().sum().item<int64_t>(), 1);
}

TEST(LinearCrossEntropyTest, LogitsAreHeldOneChunkAtATime) {
  const Case c = {1000, 8, 3000, 50};
  const at::Tensor targets = c.targets();
  auto in = c.inputs();
  const int64_t logits = 50 * 3000 * 4, losses = 1000 * 8, gradient = 4 * 8, small = 64;
  const auto loss = [&] { return linear_cross_entropy(in[0], in[1], targets, 50); };
  EXPECT_LE(peak_tensor_bytes(loss), logits + losses + small);
  in[0].requires_grad_();
  EXPECT_LE(peak_tensor_bytes(loss), logits + losses + 1000 * gradient + small);
  in[1].requires_grad_();
  EXPECT_LE(peak_tensor_bytes(loss), logits + losses + (1000 + 3000) * gradient + small);
}

TEST(LinearCrossEntropyTest, MoreRowsCostTheirGradientOnly) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const auto peak = [&](int64_t num_rows) {
      const Case c = {num_rows, 8, 3000, 50};
      auto in = as_type(c.inputs(), type);
      in[0].requires_grad_(), in[1].requires_grad_();
      const at::Tensor targets = c.targets();
      return peak_tensor_bytes([&] { return linear_cross_entropy(in[0], in[1], targets, 50); });
    };
    const int64_t row = 8 * at::elementSize(type) + 8;  // gradient and loss
    EXPECT_LE(peak(2000) - peak(1000), 1000 * row + 64) << type;
  }
}

TEST(LinearCrossEntropyTest, BackwardScalesInPlaceUnlessTheGraphIsKept) {
  const Case c = {10, 64, 500, 4};
  auto in = c.inputs();
  const at::Tensor targets = c.targets();
  in[0].requires_grad_(), in[1].requires_grad_();
  const at::Tensor loss = linear_cross_entropy(in[0], in[1], targets, 4) * 3;
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = in[1].grad().clone();
  loss.backward();
  EXPECT_TRUE(same_bits(in[1].grad(), once * 2));
  const at::Tensor again = linear_cross_entropy(in[0], in[1], targets, 4) * 3;
  in[0].mutable_grad().reset(), in[1].mutable_grad().reset();
  EXPECT_LE(peak_tensor_bytes([&] { again.backward(); }), 256);
  EXPECT_TRUE(same_bits(in[1].grad(), once));
}

/// On some processors the products of ATen's libraries (MKL, oneDNN with AMX) round differently
/// with another number of threads: whether that of a chunk's logits with the weight does, of which
/// the gradient of hidden is made.
bool hidden_product_depends_on_threads(const Case& c, at::ScalarType type) {
  const auto in = as_type(c.inputs(), type);
  const at::Tensor logits =
      at::linear(in[0].narrow(0, 0, std::min(c.num_rows, c.chunk_rows)), in[1]);
  const int before = at::get_num_threads();
  std::vector<at::Tensor> products;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    products.push_back(at::mm(logits, in[1]));
  }
  at::set_num_threads(before);
  return !same_bits(products[0], products[1]) || !same_bits(products[0], products[2]);
}

TEST(LinearCrossEntropyTest, ThreadsDoNotChangeABit) {
  // 519 rows: two chunks, not 512 and 7. Products of fewer than 12 rows are ATen's own business.
  for (const Case& c : {Case{300, 576, 5000, 128}, Case{65, 64, 1000, 13}, Case{600, 96, 9001, 512},
                        Case{519, 64, 1000, 512}}) {
    const at::Tensor targets = c.targets();
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const auto in = as_type(c.inputs(), type);
      const auto run = [&] { return run_op(ours(c, targets), in, at::ones({})); };
      const bool hidden_may_differ = hidden_product_depends_on_threads(c, type);
      expect_same_bits_on_any_threads([&] {
        const OpResult result = run();
        std::vector<at::Tensor> all = {result.out, result.grads[1],
                                       target_logprobs(in[0], in[1], targets, c.chunk_rows)};
        if (!hidden_may_differ) all.push_back(result.grads[0]);
        return all;
      });
      EXPECT_TRUE(same_bits(run().grads[0], run().grads[0])) << "two runs";
    }
  }
}

TEST(LinearCrossEntropyTest, StridedInputsGiveTheSameLoss) {
  const Case c = {33, 24, 200, 8};
  const auto in = c.inputs();
  const at::Tensor targets = c.targets(), one = at::ones({});
  const at::Tensor strided_targets = targets.unsqueeze(1).repeat({1, 3}).select(1, 1);
  const OpResult straight = run_op(ours(c, targets), in, one);
  const OpResult strided = run_op(ours(c, strided_targets),
                                  {in[0].t().contiguous().t(), in[1].t().contiguous().t()}, one);
  EXPECT_LE(max_abs_diff(strided.out, straight.out), 4 * spacing(straight.out, at::kFloat));
  for (int i = 0; i < 2; ++i) EXPECT_LE(max_abs_diff(strided.grads[i], straight.grads[i]), 1e-5);
}

TEST(LinearCrossEntropyTest, ErrorsNameWhatWasFound) {
  const auto error = [](const at::Tensor& hidden, const at::Tensor& weight,
                        const at::Tensor& targets, int64_t chunk_rows = 512) {
    const std::string text =
        error_of([&] { linear_cross_entropy(hidden, weight, targets, chunk_rows); });
    const std::string other =
        error_of([&] { target_logprobs(hidden, weight, targets, chunk_rows); });
    EXPECT_EQ(text, other);
    return text;
  };
  const at::Tensor hidden = at::zeros({3, 4}), weight = at::zeros({10, 4});
  const at::Tensor targets = at::tensor(std::vector<int64_t>{0, 9, kNoTarget});
  const auto with = [](int64_t value) { return at::tensor(std::vector<int64_t>{0, value, 1}); };
  expect_contains(error(hidden, weight, with(10)),
                  "target 10 of row 1 is not in the vocabulary of 10 tokens. Rows without a target "
                  "have -1");
  expect_contains(error(hidden, weight, with(-100)), "target -100 of row 1");
  const std::string widths = error(hidden, at::zeros({10, 5}), targets);
  expect_contains(widths, "hidden must be (T, E) and weight (V, E)");
  expect_contains(widths, "hidden [3, 4] Float cpu | weight [10, 5] Float cpu | targets [3] Long");
  expect_contains(error(hidden[0], weight, targets), "hidden must be (T, E)");
  expect_contains(error(hidden, weight.to(at::kBFloat16), targets), "must have one dtype");
  expect_contains(error(hidden.to(at::kHalf), weight, targets),
                  "dtype must be float32, bfloat16 or float64");
  expect_contains(error(hidden, weight, targets.to(at::kInt)),
                  "targets must be int64, one for each");
  expect_contains(error(hidden, weight, with(2).narrow(0, 0, 2)), "one for each row of hidden");
  expect_contains(error(hidden, weight, targets, -1),
                  "chunk_rows must be at least 1, or 0 for what suits the device, found -1");
}

TEST(LinearCrossEntropyTest, SecondDerivativeIsAnError) {
  const at::Tensor hidden = at::randn({2, 8}).requires_grad_();
  const at::Tensor loss = linear_cross_entropy(hidden, at::randn({5, 8}), at::arange(2));
  expect_contains(error_of([&] { loss.backward({}, true, /*create_graph=*/true); }),
                  "[linear_cross_entropy] has no second derivative");
}

}  // namespace
}  // namespace longgen
