// The ops on the GPU: against fp64, gradients, strides, determinism, sizes beyond 32 bits, errors.
#include "longgen/ops/glu.h"
#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/ops/linear_distillation.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/rope.h"
#include "tests/gpu/gpu_test.h"
#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

constexpr double kEps = 1e-5;

/// A tensor as it lies in memory, and the view of it that the op gets: moving a view to the GPU
/// would make it contiguous.
struct Input {
  at::Tensor base;
  std::function<at::Tensor(const at::Tensor&)> view = [](const at::Tensor& x) { return x; };

  at::Tensor cpu(at::ScalarType type) const { return view(base.to(type)); }
  /// The same numbers in fp64.
  at::Tensor exact(at::ScalarType type) const { return view(base.to(type).to(at::kDouble)); }
  at::Tensor gpu(at::ScalarType type) const { return view(on_gpu(base.to(type))); }
};

OpResult to_cpu(const OpResult& result) {
  OpResult moved = {result.out.cpu(), {}};
  for (const at::Tensor& grad : result.grads) moved.grads.push_back(grad.cpu());
  return moved;
}

OpResult run_on_gpu(const Op& op, const std::vector<Input>& inputs, at::ScalarType type,
                    const at::Tensor& grad) {
  std::vector<at::Tensor> moved;
  for (const Input& input : inputs) moved.push_back(input.gpu(type));
  return to_cpu(run_op(op, moved, on_gpu(grad)));
}

/// Ours on the GPU and plain torch on the CPU, in fp32 and bf16, against plain torch in fp64.
/// `terms` as in expect_within_twice(), of the exact inputs, for the gradient of the first one.
void expect_right(const Op& ours, const Op& plain, const std::vector<Input>& inputs,
                  const std::string& what,
                  const std::function<at::Tensor(const std::vector<at::Tensor>&)>& terms = {}) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    std::vector<at::Tensor> rough, exact;
    for (const Input& input : inputs) {
      rough.push_back(input.cpu(type));
      exact.push_back(input.exact(type));
    }
    const at::Tensor grad = at::randn(plain(exact).sizes()).to(type);
    const OpResult truth = run_op(plain, exact, grad.to(at::kDouble));
    const OpResult torch = run_op(plain, rough, grad);
    const OpResult mine = run_on_gpu(ours, inputs, type, grad);
    const at::Tensor parts = terms ? terms(exact) : at::Tensor();
    expect_within_twice(mine.out, torch.out, truth.out, type, what);
    for (size_t i = 0; i < inputs.size(); ++i) {
      expect_within_twice(mine.grads[i], torch.grads[i], truth.grads[i], type,
                          what + " gradient " + std::to_string(i), i == 0 ? parts : at::Tensor());
    }
    const OpResult again = run_on_gpu(ours, inputs, type, grad);
    EXPECT_TRUE(same_bits(mine.out, again.out)) << what;
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_TRUE(same_bits(mine.grads[i], again.grads[i])) << what << " gradient " << i;
    }
  }
}

class OpsGpu : public GpuTest {};

using Sizes = std::vector<std::pair<int64_t, int64_t>>;

// ---- norms ----

at::Tensor plain_norm(const at::Tensor& x, const at::Tensor& weight) {
  const at::ScalarType type = x.scalar_type();
  const at::Tensor wide = type == at::kDouble ? x : x.to(at::kFloat);
  return (wide * at::rsqrt(wide.pow(2).mean(-1, true) + kEps)).to(type) * weight;
}

/// x of all thread groups (8, 32 and 256 a row), odd widths, strides.
std::vector<Input> norm_inputs() {
  std::vector<Input> inputs;
  for (const int64_t rows : {1, 3, 65}) {
    for (const int64_t width : {1, 7, 64, 128, 136, 576, 1000, 1024, 1032, 4096}) {
      inputs.push_back({at::randn({rows, width})});
    }
  }
  inputs.push_back({at::randn({7, 16392})});   // more shared memory than a kernel has unasked
  inputs.push_back({at::randn({3000, 200})});  // several pieces of rows
  inputs.push_back({at::randn({576})});
  inputs.push_back({at::randn({300, 64}) * 1000});
  const at::Tensor heads = at::randn({65, 15, 64});
  inputs.push_back({heads, [](const at::Tensor& x) { return x.narrow(1, 0, 9); }});
  inputs.push_back({heads, [](const at::Tensor& x) { return x.narrow(1, 9, 3); }});
  inputs.push_back({heads, [](const at::Tensor& x) { return x.narrow(2, 1, 62); }});  // unaligned
  inputs.push_back({at::randn({5, 3, 4, 16}), [](const at::Tensor& x) {
                      return x.permute({2, 0, 1, 3});
                    }});
  inputs.push_back({at::randn({10, 6}), [](const at::Tensor& x) { return x.t(); }});
  return inputs;
}

TEST_F(OpsGpu, RmsNorm) {
  at::manual_seed(1);
  const Op ours = [](const auto& in) { return rms_norm(in[0], {in[1], kEps}); };
  const Op plain = [](const auto& in) { return plain_norm(in[0], in[1]); };
  for (const Input& x : norm_inputs()) {
    const auto sizes = x.cpu(at::kFloat).sizes().vec();
    // grad_x is what is left of terms of this size.
    const auto terms = [](const std::vector<at::Tensor>& in) {
      return in[1] / (in[0].pow(2).mean(-1, true) + kEps).sqrt();
    };
    expect_right(ours, plain, {x, {at::randn({sizes.back()})}}, c10::str("x ", sizes), terms);
  }
}

TEST_F(OpsGpu, RmsNormOfNoRows) {
  const at::Tensor x = at::zeros({0, 64}, kGpu).requires_grad_(),
                   weight = at::ones({64}, kGpu).requires_grad_();
  rms_norm(x, {weight, kEps}).sum().backward();
  EXPECT_EQ(x.grad().sizes(), x.sizes());
  EXPECT_EQ(max_abs(weight.grad()), 0);
}

TEST_F(OpsGpu, AddRmsNorm) {
  at::manual_seed(2);
  const Op ours = [](const auto& in) {
    const AddedNorm result = add_rms_norm(in[0], in[1], {in[2], kEps});
    return at::cat({result.sum, result.normed}, 0);
  };
  const Op plain = [](const auto& in) {
    const at::Tensor sum = in[0] + in[1];
    return at::cat({sum, plain_norm(sum, in[2])}, 0);
  };
  for (const auto& [rows, width] : Sizes{{65, 576}, {3, 7}, {1, 4096}, {100, 128}, {2000, 64}}) {
    const std::vector<Input> inputs = {
        {at::randn({rows, width})}, {at::randn({rows, width})}, {at::randn({width})}};
    expect_right(ours, plain, inputs, c10::str("x ", rows, " ", width));
  }
}

TEST_F(OpsGpu, AddRmsNormIsTheSumAndItsNorm) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto random = [&](at::IntArrayRef sizes) { return on_gpu(at::randn(sizes).to(type)); };
    const at::Tensor x = random({65, 576}), delta = random({65, 576}), weight = random({576});
    const AddedNorm fused = add_rms_norm(x, delta, {weight, kEps});
    EXPECT_TRUE(same_bits(fused.sum, x + delta));
    EXPECT_TRUE(same_bits(fused.normed, rms_norm(x + delta, {weight, kEps})));
  }
}

TEST_F(OpsGpu, WeightGradientOfManyRowsKeepsItsDigits) {
  at::manual_seed(3);
  const Input x = {at::randn({100'000, 8})}, weight = {at::ones({8})};
  const at::Tensor grad = at::rand({100'000, 8});
  const Op plain = [](const auto& in) { return plain_norm(in[0], in[1]); };
  const Op ours = [](const auto& in) { return rms_norm(in[0], {in[1], kEps}); };
  const OpResult truth =
      run_op(plain, {x.exact(at::kFloat), weight.exact(at::kFloat)}, grad.to(at::kDouble));
  const OpResult mine = run_on_gpu(ours, {x, weight}, at::kFloat, grad);
  // Terms of size 1 of both signs: a plain fp32 sum would be wrong by some 1e-3.
  EXPECT_LE(max_abs_diff(mine.grads[1], truth.grads[1]),
            100'000 * 0x1p-24 * 0x1p-5 + spacing(truth.grads[1], at::kFloat));
}

// ---- RoPE ----

const std::vector<double> kFrequencies32 = [] {
  std::vector<double> result;
  for (int i = 0; i < 32; ++i) result.push_back(std::pow(100000.0, -i / 32.0));
  return result;
}();

RopeTable table_of(int64_t rows, int64_t half, at::Device device) {
  std::vector<double> frequencies(kFrequencies32.begin(), kFrequencies32.begin() + half);
  const RopeTable table = make_rope_table(at::arange(rows, at::kLong) * 1009, frequencies);
  return {table.cos_TR.to(device), table.sin_TR.to(device)};
}

at::Tensor plain_rope(const at::Tensor& x, const RopeTable& table) {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor cos = table.cos_TR.to(type).unsqueeze(1),
                   sin = table.sin_TR.to(type).unsqueeze(1);
  const auto halves = x.to(type).chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

TEST_F(OpsGpu, RopeTableIsThatOfTheCpu) {
  const at::Tensor positions =
      at::cat({at::arange(1000, at::kLong), at::arange(1000, at::kLong) * 1'048'573});
  const RopeTable cpu = make_rope_table(positions, kFrequencies32, 1.25);
  const RopeTable gpu = make_rope_table(on_gpu(positions), kFrequencies32, 1.25);
  // Both round a double that is right to a few of its own spacings.
  EXPECT_LE(max_abs_diff(cpu.cos_TR, gpu.cos_TR.cpu()), 1.25 * 0x1p-23);
  EXPECT_LE(max_abs_diff(cpu.sin_TR, gpu.sin_TR.cpu()), 1.25 * 0x1p-23);
  EXPECT_EQ(make_rope_table(on_gpu(positions.narrow(0, 0, 0)), kFrequencies32).cos_TR.size(0), 0);
}

TEST_F(OpsGpu, RopeTableOfLargeHeadsIsThatOfTheCpu) {
  const at::Tensor positions = at::tensor({0, 1, 17, 4095, 131071, 1 << 20}, at::kLong);
  std::vector<double> frequencies;
  for (int i = 0; i < 64; ++i) frequencies.push_back(std::pow(500000.0, -i / 64.0));
  const RopeTable cpu = make_rope_table(positions, frequencies, 1.25);
  const RopeTable gpu = make_rope_table(on_gpu(positions), frequencies, 1.25);
  EXPECT_LE(max_abs_diff(cpu.cos_TR, gpu.cos_TR.cpu()), 0x1p-23);
  EXPECT_LE(max_abs_diff(cpu.sin_TR, gpu.sin_TR.cpu()), 0x1p-23);
}

TEST_F(OpsGpu, Rope) {
  at::manual_seed(4);
  for (const int64_t half : {1, 5, 8, 32}) {
    const RopeTable cpu = table_of(65, half, at::kCPU), gpu = table_of(65, half, kGpu);
    const Op ours = [&](const auto& in) { return rope(in[0], gpu); };
    const Op plain = [&](const auto& in) { return plain_rope(in[0], cpu); };
    const at::Tensor heads = at::randn({65, 15, 2 * half});
    for (const int64_t first : {0, 9, 14}) {
      const auto view = [first](const at::Tensor& x) { return x.narrow(1, first, 15 - first); };
      expect_right(ours, plain, {{heads, view}}, c10::str("half ", half, " from ", first));
    }
  }
}

TEST_F(OpsGpu, SplitRotated) {
  at::manual_seed(5);
  for (const auto& [num_heads, num_kv_heads] : Sizes{{9, 3}, {1, 1}, {32, 8}}) {
    const int64_t q = num_heads, k = num_kv_heads;
    const RopeTable cpu = table_of(65, 32, at::kCPU), gpu = table_of(65, 32, kGpu);
    const Op ours = [&](const auto& in) {
      const RotatedHeads parts = split_rotated(in[0], q, gpu);
      return at::cat({parts.q_THD, parts.k_TKD, parts.v_TKD}, 1);
    };
    const Op plain = [&](const auto& in) {
      return at::cat({plain_rope(in[0].narrow(1, 0, q + k), cpu), in[0].narrow(1, q + k, k)}, 1);
    };
    expect_right(ours, plain, {{at::randn({65, q + 2 * k, 64})}}, c10::str("heads ", q));
  }
}

// ---- SwiGLU ----

TEST_F(OpsGpu, SwiGlu) {
  at::manual_seed(6);
  const Op ours = [](const auto& in) { return glu(in[0], Activation::kSilu); };
  const Op plain = [](const auto& in) {
    const auto parts = in[0].chunk(2, 1);
    return at::silu(parts[0]) * parts[1];
  };
  for (const auto& [rows, width] : Sizes{{1, 1}, {3, 7}, {65, 1536}, {1000, 40}, {2, 14336}}) {
    expect_right(ours, plain, {{at::randn({rows, 2 * width}) * 4}}, c10::str(rows, " ", width));
  }
  const auto columns = [](const at::Tensor& x) { return x.narrow(1, 8, 64); };
  expect_right(ours, plain, {{at::randn({9, 80}), columns}}, "columns");
  const auto unaligned = [](const at::Tensor& x) { return x.narrow(1, 3, 64); };
  expect_right(ours, plain, {{at::randn({9, 80}), unaligned}}, "unaligned columns");
}

TEST_F(OpsGpu, SwiGluOfLargeNumbersIsThatOfTorch) {
  const at::Tensor x = at::tensor({-1e30F, -200.0F, -100.0F, 0.0F, 100.0F, 1e30F, INFINITY, NAN,  //
                                   1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F})
                           .view({1, 16});
  const at::Tensor mine = glu(on_gpu(x), Activation::kSilu).cpu(),
                   torch = at::silu(x.narrow(1, 0, 8));
  EXPECT_TRUE(at::allclose(mine, torch, 1e-6, 0, /*equal_nan=*/true)) << mine << torch;
}

// ---- cross-entropy ----

struct LossCase {
  int64_t num_rows, width, num_classes, chunk_rows;
};

at::Tensor loss_targets(const LossCase& c) {
  at::Tensor targets = at::randint(c.num_classes, {c.num_rows}, at::kLong);
  targets.slice(0, 0, c.num_rows, 5).fill_(kNoTarget);
  return targets;
}

TEST_F(OpsGpu, LinearCrossEntropy) {
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

TEST_F(OpsGpu, Distillation) {
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

TEST_F(OpsGpu, FromItselfThereIsNothingToLearn) {
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

TEST_F(OpsGpu, WeightGradientsOfManyChunksAreAddedInFp32) {
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

TEST_F(OpsGpu, TargetLogprobs) {
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

TEST_F(OpsGpu, WrongTargetsAreNamed) {
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

TEST_F(OpsGpu, InfiniteLogitsLeaveTheOthersAlone) {
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

TEST_F(OpsGpu, RefusalsAreErrors) {
  const at::Tensor halves = at::zeros({2, 8}, at::TensorOptions(kGpu).dtype(at::kHalf));
  expect_contains(
      error_of([&] { gpu::ops().swiglu(halves); }),
      "[ops] on a GPU tensors must be bfloat16 or float32, found x [2, 8] Half cuda:0.");
  expect_contains(error_of([&] {
                    gpu::ops().rope_table(on_gpu(at::arange(4, at::kLong)),
                                          std::vector<double>(129, 1.0), 1);
                  }),
                  "[rope] the GPU kernel takes heads of at most 256 numbers, found 258.");
}

// ---- sizes beyond 32 bits ----

TEST_F(OpsGpu, MoreThanTwoToThe31Logits) {
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

TEST_F(OpsGpu, MoreThanTwoToThe31ElementsInRows) {
  constexpr int64_t kRows = (int64_t{1} << 21) + 3, kWidth = 1032;  // 4.3 GB
  const at::TensorOptions options = at::TensorOptions(kGpu).dtype(at::kBFloat16);
  const at::Tensor x = at::ones({kRows, kWidth}, options);
  x[kRows - 1].fill_(2);
  const auto last = [](const at::Tensor& y) { return y[y.size(0) - 1].cpu().to(at::kDouble); };
  const at::Tensor one = at::ones({kWidth}, options);
  EXPECT_LE(max_abs_diff(last(rms_norm(x, {one * 3, 0})), at::full({kWidth}, 3.0, at::kDouble)),
            0x1p-6);
  EXPECT_LE(max_abs_diff(last(glu(x, Activation::kSilu)),
                         at::full({kWidth / 2}, 4 / (1 + std::exp(-2.0)), at::kDouble)),
            0x1p-6);
  const at::Tensor heads = x.view({kRows, 3, kWidth / 3}).narrow(2, 0, 64);
  const at::Tensor quarter_turn = at::zeros({kRows, 32}, options.dtype(at::kFloat));
  const at::Tensor turned = rope(heads, {quarter_turn, quarter_turn + 1});
  EXPECT_EQ(last(turned)[2][0].item<double>(), -2.0);
  EXPECT_EQ(last(turned)[2][63].item<double>(), 2.0);
}

// ---- embedding gradient, sums ----

TEST_F(OpsGpu, EmbeddingGradient) {
  at::manual_seed(10);
  for (const int64_t rows : {1, 63, 64, 65, 1000}) {
    for (const int64_t width : {8, 7, 576, 2100}) {
      at::Tensor tokens = at::randint(50, {rows}, at::kLong);
      tokens.narrow(0, 0, rows / 2).fill_(17);  // over the border of several pieces of rows
      for (const auto type : {at::kFloat, at::kBFloat16}) {
        const at::Tensor grad = at::randn({rows, width}).to(type), before = at::randn({60, width});
        const at::Tensor truth = before.to(at::kDouble).index_add(0, tokens, grad.to(at::kDouble));
        const auto run = [&] {
          const at::Tensor sum = on_gpu(before).clone();
          gpu::ops().embedding_backward(on_gpu(grad), on_gpu(tokens), sum);
          return sum.cpu();
        };
        const at::Tensor mine = run();
        // Sums of up to `rows` numbers of size 1.
        EXPECT_LE(max_abs_diff(mine, truth), 16 * spacing(truth, at::kFloat))
            << rows << " " << width;
        EXPECT_TRUE(same_bits(mine, run())) << rows << " " << width;
      }
    }
  }
}

TEST_F(OpsGpu, SumOfSquares) {
  at::manual_seed(11);
  std::vector<at::Tensor> tensors;
  double truth = 0;
  for (const int64_t count : {1, 7, 65'536, 65'540, 1'000'003}) {
    const at::Tensor x = at::randn({count});
    truth += x.to(at::kDouble).square().sum().item<double>();
    tensors.push_back(on_gpu(x));
  }
  const double mine = gpu::ops().sum_of_squares(tensors);
  EXPECT_NEAR(mine, truth, 1e-12 * truth);
  EXPECT_EQ(gpu::ops().sum_of_squares(tensors), mine);
  tensors[3][5] = INFINITY;
  EXPECT_TRUE(std::isinf(gpu::ops().sum_of_squares(tensors)));
}

}  // namespace
}  // namespace longgen
