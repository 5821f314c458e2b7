#include "longgen/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "longgen/base/stochastic_rounding.h"
#include "tiny_run.h"

namespace longgen {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// Sizes below, at and beyond what one thread takes at once (65,536 elements).
ModelWeights make_weights(uint64_t seed) {
  Json json = tiny_config();
  json["vocab_size"] = 2101;
  json["attention_bias"] = true;
  json["num_hidden_layers"] = 1;
  json["initializer_range"] = 0.5;
  ModelWeights weights =
      random_weights(parse_model_config(json.dump(), "c.json"), at::kFloat, seed);
  const at::Generator generator = at::detail::createCPUGenerator(seed + 1000);
  for (const NamedTensor& parameter : weights.parameters()) {
    if (parameter.tensor.dim() == 1) {
      parameter.tensor.copy_(at::normal(0, 0.5, parameter.tensor.sizes(), generator));
    }
  }
  return weights;
}

/// The update rule in fp64, as the paper (arXiv 1711.05101, algorithm 2) has it.
struct PlainAdamW {
  std::vector<at::Tensor> weights, m, v;

  explicit PlainAdamW(const ModelWeights& start) {
    for (const NamedTensor& parameter : start.parameters()) {
      weights.push_back(parameter.tensor.to(at::kDouble));
      m.push_back(at::zeros_like(weights.back()));
      v.push_back(at::zeros_like(weights.back()));
    }
  }

  void step(const ModelWeights& gradients, double grad_scale, int64_t t, const AdamWOptions& o) {
    const auto slopes = gradients.parameters();
    for (size_t i = 0; i < weights.size(); ++i) {
      const at::Tensor g = slopes[i].tensor.to(at::kDouble) * grad_scale;
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g * g;
      const at::Tensor m_hat = m[i] / (1 - std::pow(o.beta1, t));
      const at::Tensor v_hat = v[i] / (1 - std::pow(o.beta2, t));
      const double decay = weights[i].dim() == 2 ? o.weight_decay : 0;
      weights[i] =
          weights[i] - o.learning_rate * (m_hat / (v_hat.sqrt() + o.eps) + decay * weights[i]);
    }
  }
};

/// Ours and the plain computation, side by side.
void compare(const AdamWOptions& options, double grad_scale) {
  constexpr int64_t kSteps = 12;
  ModelWeights masters = make_weights(1);
  AdamWState state = make_adamw_state(masters);
  PlainAdamW plain(masters);
  for (int64_t t = 1; t <= kSteps; ++t) {
    const ModelWeights gradients = make_weights(100 + t);
    adamw_step(gradients, grad_scale, t, options, masters, state);
    plain.step(gradients, grad_scale, t, options);
  }
  const auto weights = masters.parameters();
  for (size_t i = 0; i < weights.size(); ++i) {
    // A step rounds a weight once, and its own relative error is a few roundings; it is at most
    // learning_rate / (1 - beta1) long, where m's gradients outweigh v's.
    const double longest = options.learning_rate / (1 - options.beta1);
    const double bound = kSteps * kEpsilon * (max_abs(plain.weights[i]) + 8 * longest);
    EXPECT_LE(max_difference(weights[i].tensor, plain.weights[i]), bound) << weights[i].name;
  }
}

TEST(AdamW, IsThePlainComputation) {
  compare({.learning_rate = 0.01}, 1);
  compare({.learning_rate = 0.01, .weight_decay = 0.1}, 1);
  compare({.learning_rate = 0.3, .beta1 = 0, .beta2 = 0, .eps = 1, .weight_decay = 0.5}, 0.37);
  compare({.learning_rate = 0.02, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-6}, 123.456);
}

TEST(AdamW, BetasNearOneKeepTheirDigits) {
  // 1 - 0.99999 has two digits left when it is taken from the fp32 of 0.99999.
  compare({.learning_rate = 0.01, .beta1 = 0.9, .beta2 = 0.99999}, 1);
  compare({.learning_rate = 0.01, .beta1 = 0.9999, .beta2 = 0.9999}, 1);
}

TEST(AdamW, OnlyMatricesDecay) {
  ModelWeights masters = make_weights(1);
  const ModelWeights before = converted(masters, at::kFloat, at::kCPU);
  AdamWState state = make_adamw_state(masters);
  const ModelWeights none = zeros_like(masters, at::kFloat);
  adamw_step(none, 1, 1, {.learning_rate = 0.5, .weight_decay = 0.5}, masters, state);
  const auto now = masters.parameters(), then = before.parameters();
  int matrices = 0, vectors = 0;
  for (size_t i = 0; i < now.size(); ++i) {
    const bool is_matrix = now[i].tensor.dim() == 2;
    ++(is_matrix ? matrices : vectors);
    EXPECT_TRUE(at::equal(now[i].tensor, then[i].tensor * (is_matrix ? 0.75 : 1))) << now[i].name;
  }
  EXPECT_GE(matrices, 6);
  EXPECT_GE(vectors, 4);
}

TEST(AdamW, TheScaleMultipliesTheGradient) {
  ModelWeights masters = make_weights(1), other = make_weights(1);
  AdamWState state = make_adamw_state(masters), other_state = make_adamw_state(other);
  const ModelWeights gradients = make_weights(2),
                     quarter = converted(gradients, at::kFloat, at::kCPU);
  for (const NamedTensor& gradient : quarter.parameters()) gradient.tensor.mul_(0.25);
  adamw_step(gradients, 0.25, 1, {.learning_rate = 0.1, .eps = 0.1}, masters, state);
  adamw_step(quarter, 1, 1, {.learning_rate = 0.1, .eps = 0.1}, other, other_state);
  EXPECT_TRUE(at::equal(masters.embedding_VE, other.embedding_VE));
  EXPECT_TRUE(at::equal(state.v.embedding_VE, other_state.v.embedding_VE));
}

TEST(StochasticRounding, IsOneOfTheTwoNeighboursAndItsMeanTheNumber) {
  at::globalContext().setFlushDenormal(false);  // a run in this process before has set it
  for (const float x : {1.001F, -3.14159F, 1e-39F, 0.99999F, 6.5e10F}) {
    const auto bits = std::bit_cast<uint32_t>(x);
    const auto value = [](uint16_t half) { return std::bit_cast<float>(uint32_t{half} << 16); };
    const auto below = static_cast<uint16_t>(bits >> 16), above = static_cast<uint16_t>(below + 1);
    constexpr int kCount = 1 << 18;
    int num_above = 0;
    for (int i = 0; i < kCount; ++i) {
      const uint16_t found = stochastic_bf16(bits, element_bits(17, i));
      ASSERT_TRUE(found == below || found == above) << x;
      num_above += found == above;
    }
    // Six standard deviations of a mean of draws that are 0 or 1.
    const double share = (x - value(below)) / (value(above) - value(below));
    EXPECT_NEAR(static_cast<double>(num_above) / kCount, share, 6 * 0.5 / std::sqrt(kCount)) << x;
  }
}

TEST(StochasticRounding, LeavesWhatBf16Has) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  for (const float x : {0.F, -0.F, 1.F, -2.5F, 0x1p-130F, kInfinity, -kInfinity}) {
    const auto bits = std::bit_cast<uint32_t>(x);
    EXPECT_EQ(stochastic_bf16(bits, 0xFFFF), bits >> 16) << x;
  }
  const auto nan = std::bit_cast<uint32_t>(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(stochastic_bf16(nan, 0xFFFF), nan >> 16);
}

TEST(StochasticRounding, WeightAndMomentsOfAllElementsDrawTheirOwnBits) {
  double sum = 0;
  std::set<uint64_t> seen;
  for (int64_t i = 0; i < 4096; ++i) {
    const uint64_t bits = element_bits(mix_pair(mix_pair(0, 1), 2), i);
    EXPECT_TRUE(seen.insert(bits).second);
    // The product of two centred draws has the mean 0 where they do not depend on each other.
    sum += (static_cast<double>(bits & 0xFFFF) - 32767.5) *
           (static_cast<double>(bits >> 16 & 0xFFFF) - 32767.5);
  }
  EXPECT_LT(std::abs(sum) / 4096, 6 * 65536.0 * 65536 / 12 / std::sqrt(4096));
}

ModelWeights in_bf16(const ModelWeights& weights) {
  return converted(weights, at::kBFloat16, at::kCPU);
}

TEST(AdamWInBf16, StepsAndMomentsAreRightOnAverage) {
  // Steps of 2^-12 of weights whose neighbours are 2^-8 away, and a mean square that moves by a
  // thousandth: rounded to the nearest nothing would move.
  const AdamWOptions options = {.learning_rate = 0x1p-12, .beta1 = 0, .beta2 = 0.999, .seed = 3};
  ModelWeights weights = in_bf16(make_weights(1)), gradients = in_bf16(make_weights(2));
  weights.embedding_VE.fill_(1);
  gradients.embedding_VE.fill_(1);
  AdamWState state = make_adamw_state(weights);
  state.v.embedding_VE.fill_(0.5);
  // Far from the first step, so that nothing corrects the moments: v = 0.5005 and the step is
  // learning_rate / sqrt(v).
  adamw_step(gradients, 1, 1'000'000, options, weights, state);
  const auto count = static_cast<double>(weights.embedding_VE.numel());
  const auto mean = [](const at::Tensor& x) { return x.to(at::kDouble).mean().item<double>(); };
  const double v = 0.5005, step = 0x1p-12 / std::sqrt(v);
  // A draw between neighbours d apart has a standard deviation of at most d / 2.
  EXPECT_NEAR(mean(weights.embedding_VE), 1 - step, 6 * 0x1p-9 / std::sqrt(count));
  EXPECT_NEAR(mean(state.v.embedding_VE), v, 6 * 0x1p-10 / std::sqrt(count));
  EXPECT_EQ(max_difference(state.m.embedding_VE, gradients.embedding_VE), 0);
}

TEST(AdamWInBf16, IsTheStepOfFp32WithinOneRounding) {
  const AdamWOptions options = {.learning_rate = 0.01, .weight_decay = 0.1};
  ModelWeights rounded = in_bf16(make_weights(1)), exact = converted(rounded, at::kFloat, at::kCPU);
  const ModelWeights gradients = in_bf16(make_weights(2)),
                     same = converted(gradients, at::kFloat, at::kCPU);
  EXPECT_EQ(gradient_norm(gradients), gradient_norm(same));
  AdamWState state = make_adamw_state(rounded), exact_state = make_adamw_state(exact);
  adamw_step(gradients, 0.5, 1, options, rounded, state);
  adamw_step(same, 0.5, 1, options, exact, exact_state);
  const auto expect_near = [](const ModelWeights& a, const ModelWeights& b) {
    const auto left = a.parameters(), right = b.parameters();
    for (size_t i = 0; i < left.size(); ++i) {
      EXPECT_EQ(left[i].tensor.scalar_type(), at::kBFloat16);
      const at::Tensor truth = right[i].tensor.to(at::kDouble);
      const at::Tensor error = (left[i].tensor.to(at::kDouble) - truth).abs();
      EXPECT_TRUE((error <= 0x1p-7 * truth.abs() + 1e-38).all().item<bool>()) << left[i].name;
      EXPECT_GT(max_abs(error), 0) << left[i].name;
    }
  };
  expect_near(rounded, exact);
  expect_near(state.m, exact_state.m);
  expect_near(state.v, exact_state.v);
}

TEST(AdamWInBf16, SeedStepAndNothingElseDecideTheBits) {
  const int before = at::get_num_threads();
  const auto run = [](int threads, uint64_t seed, int64_t step) {
    at::set_num_threads(threads);
    ModelWeights weights = in_bf16(make_weights(1));
    AdamWState state = make_adamw_state(weights);
    adamw_step(in_bf16(make_weights(2)), 1, step, {.learning_rate = 0.1, .seed = seed}, weights,
               state);
    return std::pair(weights.embedding_VE, state.v.embedding_VE);
  };
  const auto [weight, v] = run(1, 7, 1000);
  for (const int threads : {2, 3}) {
    EXPECT_TRUE(at::equal(run(threads, 7, 1000).first, weight));
    EXPECT_TRUE(at::equal(run(threads, 7, 1000).second, v));
  }
  EXPECT_FALSE(at::equal(run(1, 8, 1000).first, weight));
  EXPECT_FALSE(at::equal(run(1, 7, 1001).second, v));
  at::set_num_threads(before);
}

TEST(GradientNorm, IsTheEuclideanNormOfAll) {
  const ModelWeights gradients = make_weights(3);
  double total = 0;
  for (const NamedTensor& gradient : gradients.parameters()) {
    total += gradient.tensor.to(at::kDouble).square().sum().item<double>();
  }
  EXPECT_NEAR(gradient_norm(gradients), std::sqrt(total), 1e-12 * std::sqrt(total));
  EXPECT_EQ(gradient_norm(zeros_like(gradients, at::kFloat)), 0);
}

TEST(GradientNorm, DoesNotOverflowAndShowsWhatIsNotFinite) {
  ModelWeights gradients = make_weights(3);
  gradients.embedding_VE.fill_(3e38);  // its square is beyond fp32
  const double expected = 3e38 * std::sqrt(static_cast<double>(gradients.embedding_VE.numel()));
  EXPECT_NEAR(gradient_norm(gradients), expected, 1e-6 * expected);
  gradients.embedding_VE[1321][7] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(gradient_norm(gradients), std::numeric_limits<double>::infinity());
  gradients.final_norm_E[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(gradient_norm(gradients)));
}

TEST(Optimizer, TheNumberOfThreadsChangesNoBit) {
  const int before = at::get_num_threads();
  std::vector<double> norms;
  std::vector<at::Tensor> embeddings, moments;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    ModelWeights masters = make_weights(1);
    AdamWState state = make_adamw_state(masters);
    for (int64_t t = 1; t <= 3; ++t) {
      const ModelWeights gradients = make_weights(10 + t);
      norms.push_back(gradient_norm(gradients));
      adamw_step(gradients, 1 / norms.back(), t, {.learning_rate = 0.1}, masters, state);
    }
    embeddings.push_back(masters.embedding_VE);
    moments.push_back(state.v.embedding_VE);
  }
  at::set_num_threads(before);
  for (size_t i = 1; i < embeddings.size(); ++i) {
    EXPECT_TRUE(at::equal(embeddings[i], embeddings[0]));
    EXPECT_TRUE(at::equal(moments[i], moments[0]));
    for (size_t t = 0; t < 3; ++t) EXPECT_EQ(norms[3 * i + t], norms[t]);
  }
}

}  // namespace
}  // namespace longgen
