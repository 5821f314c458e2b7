// What the loss of a step is made of: weights of tokens, a teacher, far context.
#include "longgen/train/objective/objective.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "longgen/train/objective/alignment.h"
#include "longgen/train/objective/far_weights.h"
#include "longgen/train/objective/token_weights.h"
#include "longgen/train/step.h"
#include "model_cases.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

constexpr int64_t kTokens = 300;

Decoder make_decoder(const ModelCase& c, at::ScalarType dtype = at::kFloat) {
  ModelConfig config = config_of(c, tiny_config());
  ModelWeights weights = varied_weights(config, dtype);
  require_gradients(weights);
  return {config, weights};
}

/// Three documents; every ninth row has no target.
MicroBatch make_batch() { return packed_batch(kTokens, {0, 120, 121}); }

MicroBatch weighted_batch() {
  MicroBatch batch = make_batch();
  at::manual_seed(4);
  batch.weights_T = at::rand({kTokens}) * 3;
  return batch;
}

struct Outcome {
  LossSums sums;
  ModelWeights gradients;
};

Outcome run(const Decoder& decoder, const MicroBatch& batch, const BackwardOptions& options) {
  Outcome outcome = {{}, zeros_like(decoder.weights(), at::kFloat)};
  outcome.sums = backward_pass(decoder, batch, options, outcome.gradients);
  return outcome;
}

void expect_bits(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.sums.cross_entropy, b.sums.cross_entropy);
  EXPECT_EQ(a.sums.divergence, b.sums.divergence);
  EXPECT_EQ(a.sums.weights, b.sums.weights);
  const auto left = a.gradients.parameters(), right = b.gradients.parameters();
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

const ModelCase kSparse = {.name = "sink", .sparse = "sink=1,window=1"};

TEST(TokenWeights, ComeFromMarks) {
  const auto marks = [](std::vector<int64_t> values) { return at::tensor(values, at::kChar); };
  EXPECT_TRUE(
      at::equal(weights_of_marks(marks({0, 1, 2, 1}), 2.5), at::tensor({0.0F, 1.0F, 2.5F, 1.0F})));
  EXPECT_FALSE(weights_of_marks({}, 2.5).defined());
  EXPECT_FALSE(weights_of_marks(marks({1, 1}), 2.5).defined());
  EXPECT_EQ(error_of([&] {
              weights_of_marks(marks({1, 3}), 1);
            }),
            "[marks] row 1: expected 0 (not learnt), 1 (ordinary) or 2 (answer), found 3.");
}

TEST(TokenWeights, AreSummedWhereThereIsATarget) {
  const at::Tensor targets = at::tensor(std::vector<int64_t>{5, kNoTarget, 7});
  EXPECT_EQ(sum_of_weights(targets, {}), 2);
  EXPECT_EQ(sum_of_weights(targets, at::tensor({0.5F, 8.0F, 2.0F})), 2.5);
}

TEST(Objective, WeightsOfOneLeaveEveryBit) {
  const Decoder decoder = make_decoder(kSparse);
  MicroBatch batch = make_batch();
  const Outcome without = run(decoder, batch, {});
  EXPECT_EQ(without.sums.weights, kTokens - (kTokens + 8) / 9);
  batch.weights_T = at::ones({kTokens});
  expect_bits(run(decoder, batch, {}), without);
}

TEST(Objective, OnlyTheProportionOfWeightsCounts) {
  const auto weights_after = [](double factor) {
    const ModelConfig config = config_of(kSparse, tiny_config());
    TrainableModel model(config, varied_weights(config, at::kFloat), at::kFloat);
    MicroBatch one = weighted_batch(), other = make_batch();
    one.weights_T.mul_(factor);
    other.weights_T = at::full({kTokens}, factor);
    StepOptions options = {.adamw = {.learning_rate = 0.01}, .clip_norm = 0.5};
    const StepResult result = train_step(model, {one, other}, 530, 1, options);
    EXPECT_TRUE(result.applied);
    return std::pair(result.loss, model.masters().embedding_VE.detach().clone());
  };
  const auto once = weights_after(1), twice = weights_after(2);  // doubling is exact
  EXPECT_EQ(once.first, twice.first);
  EXPECT_TRUE(at::equal(once.second, twice.second));
}

TEST(Objective, TheLossOfAStepIsTheWeightedMean) {
  const ModelConfig config = config_of(kSparse, tiny_config());
  TrainableModel model(config, varied_weights(config, at::kFloat), at::kFloat);
  MicroBatch batch = weighted_batch();
  BatchContext context(kTokens, batch.doc_starts);
  const at::Tensor losses =
      -target_logprobs(model.decoder().forward(batch.tokens_T, context).detach(),
                       model.decoder().weights().head_VE.detach(), batch.targets_T);
  const at::Tensor counts = batch.weights_T * batch.targets_T.ge(0);
  const double expected = ((losses * counts).sum() / counts.sum()).item<double>();
  EXPECT_NEAR(train_step(model, {batch}, 266, 1, {}).loss, expected, 1e-5);
}

class Distillation : public ::testing::TestWithParam<ModelCase> {};

TEST_P(Distillation, GivesThePlainGraphsGradients) {
  const Decoder decoder = make_decoder(GetParam());
  const Teacher teacher = Teacher::of(decoder);
  const MicroBatch batch = weighted_batch();
  const Outcome ours = run(decoder, batch,
                           {.objective = {.teacher = &teacher, .distill_share = 0.3},
                            .loss_chunk_rows = 64,
                            .loss_scale = 0.01});
  BatchContext context(kTokens, batch.doc_starts);
  ModelConfig full = decoder.config();
  full.layers = LayerPlan::all_full(full.num_layers);
  if (GetParam().gemma) full.layers = full.layers.with_windows({0, 2}, 30);
  const at::Tensor q = Decoder(full, decoder.weights())
                           .forward(batch.tokens_T, context)
                           .mm(decoder.weights().head_VE.t())
                           .log_softmax(1)
                           .detach();
  const at::Tensor p =
      decoder.forward(batch.tokens_T, context).mm(decoder.weights().head_VE.t()).log_softmax(1);
  const at::Tensor counts = batch.weights_T * batch.targets_T.ge(0);
  const at::Tensor ce =
      (-p.gather(1, batch.targets_T.clamp_min(0).unsqueeze(1)).squeeze(1) * counts).sum();
  const at::Tensor kl = ((q.exp() * (q - p)).sum(1) * counts).sum();
  EXPECT_NEAR(ours.sums.cross_entropy, ce.item<double>(), 1e-5 * ce.item<double>());
  EXPECT_NEAR(ours.sums.divergence, kl.item<double>(), 1e-4 * kl.item<double>());
  EXPECT_GT(ours.sums.divergence, 0);
  const auto parameters = decoder.weights().parameters();
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : parameters) leaves.push_back(parameter.tensor);
  const auto expected = torch::autograd::grad({(ce * 0.7 + kl * 0.3) * 0.01}, leaves);
  const auto found = ours.gradients.parameters();
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(max_difference(expected[i], found[i].tensor), 1e-4 * max_abs(expected[i]))
        << found[i].name;
  }
}

TEST_P(Distillation, EveryWayOfRecomputingGivesTheSameBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Decoder decoder = make_decoder(GetParam(), dtype);
    const Teacher teacher = Teacher::of(decoder);
    const auto with = [&](Recomputation recompute) {
      return run(decoder, weighted_batch(),
                 {.objective = {.teacher = &teacher, .distill_share = 0.5, .far_weight = 3},
                  .recompute = recompute});
    };
    const Outcome none = with(Recomputation::none);
    expect_bits(with(Recomputation::layers), none);
    expect_bits(with(Recomputation::layers_keep_attention), none);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Distillation,
    ::testing::Values(
        kSparse, ModelCase{.name = "sink_tied", .sparse = "sink=1,window=1", .tied = true},
        ModelCase{.name = "gemma", .sparse = "sink=0,window=1", .bias = true, .gemma = true}),
    [](const auto& test) { return test.param.name; });

TEST(SelfTeacher, FollowsTheStudentsWeights) {
  const ModelConfig config = config_of(kSparse, tiny_config());
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    TrainableModel model(config, varied_weights(config, at::kFloat), dtype);
    const Teacher teacher = Teacher::of(model.decoder());
    const at::Tensor before = teacher.look_at(make_batch()).hidden_TE;
    train_step(model, {make_batch()}, 266, 1, {.adamw = {.learning_rate = 0.01}});
    const at::Tensor after = teacher.look_at(make_batch()).hidden_TE;
    EXPECT_FALSE(at::equal(before, after));
    EXPECT_TRUE(at::equal(after, Teacher::of(model.decoder()).look_at(make_batch()).hidden_TE));
    EXPECT_FALSE(after.requires_grad());
  }
}

TEST(SelfTeacher, OfAFullModelIsRefused) {
  const Decoder decoder = make_decoder({.name = "", .sparse = ""});
  EXPECT_TRUE(contains(error_of([&] { Teacher::of(decoder); }),
                       "expected a model with sparse layers, found none"));
}

TEST(SelfTeacher, KeepsTheFamilysOwnWindows) {
  const Decoder decoder =
      make_decoder({.name = "", .sparse = "sink=1,window=1", .bias = true, .gemma = true});
  const LayerPlan layers = Teacher::of(decoder).config().layers;
  EXPECT_EQ(layers.window_layers(), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(layers.full_layers(), std::vector<int64_t>{1});
}

TEST(FarWeights, AreOneWhereNothingIsFar) {
  // The window of two blocks and the sink hold every document whole.
  const Decoder decoder = make_decoder({.name = "", .sparse = "sink=1,window=3"});
  const MicroBatch batch = packed_batch(kTokens, {0, 120, 160});
  BatchContext context(kTokens, batch.doc_starts);
  const at::Tensor hidden = decoder.forward(batch.tokens_T, context).detach();
  const at::Tensor weights = far_weights(decoder, batch, hidden, 5, kChunkRowsOfDevice);
  EXPECT_EQ(weights.scalar_type(), at::kFloat);
  EXPECT_LE(max_difference(weights, at::ones({kTokens})), 1e-4);
}

TEST(FarWeights, AreTheRatioOfProbabilitiesWithinLimits) {
  const Decoder decoder = make_decoder({.name = "", .sparse = "sink=0,window=1,stride=2"});
  const MicroBatch batch = make_batch();
  ModelConfig near = decoder.config();
  near.layers = LayerPlan::hybrid(near.num_layers, {}, Pattern::parse("sink=0,window=1"));
  const auto logprobs = [&](const ModelConfig& config) {
    BatchContext context(kTokens, batch.doc_starts);
    const Decoder other(config, decoder.weights());
    return target_logprobs(other.forward(batch.tokens_T, context).detach(),
                           decoder.weights().head_VE.detach(), batch.targets_T);
  };
  const at::Tensor ratio = (logprobs(decoder.config()) - logprobs(near)).exp();
  ASSERT_GT(max_abs(ratio), 1.2);
  ASSERT_LT(ratio.min().item<double>(), 0.9);
  BatchContext context(kTokens, batch.doc_starts);
  const at::Tensor hidden = decoder.forward(batch.tokens_T, context).detach();
  const at::Tensor found = far_weights(decoder, batch, hidden, 1.2, kChunkRowsOfDevice);
  EXPECT_LE(max_difference(found, ratio.clamp(1, 1.2)), 1e-5);
  EXPECT_FALSE(found.requires_grad());
}

/// What the two attentions of a layer give of the same input.
at::Tensor attention_of(const Decoder& decoder, int64_t layer, const at::Tensor& x_TE,
                        const MicroBatch& batch) {
  BatchContext context(batch.tokens_T.size(0), batch.doc_starts);
  return decoder.layers()[layer]
      .attention.forward({x_TE, {}}, decoder.ropes(context), context)
      .delta_TE;
}

TEST(Alignment, GivesThePlainGraphsGradientsOfSparseLayersAlone) {
  const Decoder student = make_decoder(kSparse);
  ModelConfig full = student.config();
  full.layers = LayerPlan::all_full(full.num_layers);
  const Decoder origin(full, varied_weights(full, at::kFloat));
  const MicroBatch batch = make_batch();
  ModelWeights gradients = zeros_like(student.weights(), at::kFloat);
  std::vector<double> shares;
  const double loss = alignment_pass(
      student, batch, {origin, 0.5, [&](double share) { shares.push_back(share); }}, gradients);
  EXPECT_EQ(shares, (std::vector<double>{1.0 / 3, 2.0 / 3, 1}));
  at::Tensor x = origin.embed(batch.tokens_T).detach(), expected = at::zeros({});
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor given = attention_of(origin, i, x, batch).detach();
    if (i != 1) {
      const at::Tensor error = attention_of(student, i, x, batch) - given;
      expected = expected + 0.5 * error.square().sum() / given.square().sum();
    }
    const Residual next = origin.layers()[i].feed_forward.forward({x, given});
    x = (next.x_TE + next.delta_TE).detach();
  }
  EXPECT_NEAR(loss, expected.item<double>(), 1e-5 * loss);
  EXPECT_GT(loss, 0.01);
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : student.weights().parameters()) {
    leaves.push_back(parameter.tensor);
  }
  const auto truth = torch::autograd::grad({expected * 0.5}, leaves, {}, {}, false,
                                           /*allow_unused=*/true);
  const auto found = gradients.parameters();
  for (size_t i = 0; i < found.size(); ++i) {
    if (!truth[i].defined()) {
      EXPECT_EQ(max_abs(found[i].tensor), 0) << found[i].name;
      continue;
    }
    EXPECT_LE(max_difference(truth[i], found[i].tensor), 1e-5 * max_abs(truth[i])) << found[i].name;
    EXPECT_GT(max_abs(truth[i]), 0) << found[i].name;
  }
}

TEST(Progress, CountsTheExtraPasses) {
  const Decoder decoder = make_decoder(kSparse);
  const Teacher teacher = Teacher::of(decoder);
  std::vector<double> shares;
  run(decoder, make_batch(),
      {.objective = {.teacher = &teacher, .distill_share = 0.5, .far_weight = 2},
       .on_progress = [&](double share) { shares.push_back(share); }});
  EXPECT_EQ(shares.size(), 4u * 3);  // forward, backward and two more passes of three layers
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_DOUBLE_EQ(shares.back(), 1);
}

}  // namespace
}  // namespace longgen
