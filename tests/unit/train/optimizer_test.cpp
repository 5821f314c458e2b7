#include "longgen/train/optimizer.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "recipe_test_support.h"
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
