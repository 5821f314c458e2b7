// The ops on the GPU: against fp64, gradients, strides, determinism, sizes beyond 32 bits, errors.
#include "tests/gpu/ops_gpu_test.h"
#include "longgen/ops/glu.h"
#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/rope.h"

namespace longgen {
namespace {

constexpr double kEps = 1e-5;

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
