#include "longgen/train/backward_pass.h"

#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/train/training_context.h"
#include "model_cases.h"

namespace longgen {
namespace {

constexpr int64_t kTokens = 300;

Decoder make_decoder(const ModelCase& c, at::ScalarType dtype = at::kFloat) {
  ModelConfig config = config_of(c, tiny_config());
  ModelWeights weights = varied_weights(config, dtype);
  require_gradients(weights);
  return {config, weights};
}

/// Three documents of 120, 1 and 179 tokens; every ninth row has no target.
MicroBatch make_micro_batch() { return packed_batch(kTokens, {0, 120, 121}); }

struct Outcome {
  double loss = 0;
  ModelWeights gradients;
};

Outcome run(const Decoder& decoder, const MicroBatch& batch, const BackwardOptions& options) {
  Outcome outcome;
  outcome.gradients = zeros_like(decoder.weights(), at::kFloat);
  outcome.loss = backward_pass(decoder, batch, options, outcome.gradients).cross_entropy;
  return outcome;
}

/// One graph over everything.
Outcome plain_autograd(const Decoder& decoder, const MicroBatch& batch, double loss_scale) {
  BatchContext context(batch.tokens_T.size(0), batch.doc_starts);
  const at::Tensor loss = linear_cross_entropy(decoder.forward(batch.tokens_T, context),
                                               decoder.weights().head_VE, batch.targets_T, 64);
  Outcome outcome = {loss.item<double>(), zeros_like(decoder.weights(), at::kFloat)};
  std::vector<at::Tensor> inputs;
  for (const NamedTensor& parameter : decoder.weights().parameters()) {
    inputs.push_back(parameter.tensor);
  }
  const auto found = torch::autograd::grad({loss * loss_scale}, inputs);
  const auto slots = outcome.gradients.parameters();
  for (size_t i = 0; i < slots.size(); ++i) slots[i].tensor.copy_(found[i]);
  return outcome;
}

void expect_bits(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.loss, b.loss);
  const auto left = a.gradients.parameters(), right = b.gradients.parameters();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

class BackwardPass : public ::testing::TestWithParam<ModelCase> {};

TEST_P(BackwardPass, GivesThePlainGraphsGradients) {
  const Decoder decoder = make_decoder(GetParam());
  const MicroBatch batch = make_micro_batch();
  const Outcome plain = plain_autograd(decoder, batch, 0.01);
  const Outcome ours = run(decoder, batch, {.loss_chunk_rows = 64, .loss_scale = 0.01});
  EXPECT_NEAR(ours.loss, plain.loss, 4 * std::numeric_limits<float>::epsilon() * plain.loss);
  const auto expected = plain.gradients.parameters(), found = ours.gradients.parameters();
  ASSERT_EQ(expected.size(), found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(expected[i].name, found[i].name);
    // Only sums of the tied embedding and of repeated tokens are made in another order.
    const double rounding =
        32 * std::numeric_limits<float>::epsilon() * max_abs(expected[i].tensor);
    EXPECT_LE(max_difference(expected[i].tensor, found[i].tensor), rounding) << expected[i].name;
    EXPECT_GT(max_abs(found[i].tensor), 0) << expected[i].name;
  }
}

TEST_P(BackwardPass, EveryWayOfRecomputingGivesTheSameBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Decoder decoder = make_decoder(GetParam(), dtype);
    const MicroBatch batch = make_micro_batch();
    const Outcome none = run(decoder, batch, {.recompute = Recomputation::none});
    expect_bits(run(decoder, batch, {.recompute = Recomputation::layers}), none);
    expect_bits(run(decoder, batch, {.recompute = Recomputation::layers_keep_attention}), none);
  }
}

TEST_P(BackwardPass, PackedDocumentsAreDocumentsOneByOne) {
  const Decoder decoder = make_decoder(GetParam());
  const MicroBatch batch = make_micro_batch();
  const Outcome packed = run(decoder, batch, {});
  Outcome separate = {0, zeros_like(decoder.weights(), at::kFloat)};
  for (const auto& [begin, end] : {std::pair(0, 120), {120, 121}, {121, 300}}) {
    separate.loss +=
        backward_pass(decoder,
                      {batch.tokens_T.slice(0, begin, end), batch.targets_T.slice(0, begin, end),
                       at::zeros({1}, at::kLong)},
                      {}, separate.gradients)
            .cross_entropy;
  }
  EXPECT_NEAR(packed.loss, separate.loss, 1e-6 * packed.loss);
  const auto expected = separate.gradients.parameters(), found = packed.gradients.parameters();
  for (size_t i = 0; i < expected.size(); ++i) {
    // Sums over 300 rows and three layers in another order.
    const double rounding =
        64 * std::numeric_limits<float>::epsilon() * max_abs(expected[i].tensor);
    EXPECT_LE(max_difference(expected[i].tensor, found[i].tensor), rounding) << expected[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, BackwardPass, ::testing::ValuesIn(kModelCases),
                         [](const auto& test) { return test.param.name; });

TEST(BackwardPassOnce, AddsToWhatIsThere) {
  const Decoder decoder = make_decoder({.name = "", .sparse = "sink=0,window=1"});
  const MicroBatch batch = make_micro_batch();
  const Outcome once = run(decoder, batch, {});
  Outcome twice = once;
  twice.gradients = converted(once.gradients, at::kFloat, at::kCPU);
  backward_pass(decoder, batch, {}, twice.gradients);
  const auto one = once.gradients.parameters(), two = twice.gradients.parameters();
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_LE(max_difference(two[i].tensor, 2 * one[i].tensor),
              32 * std::numeric_limits<float>::epsilon() * max_abs(one[i].tensor))
        << one[i].name;
  }
}

// More rows than the feed-forward network takes at once.
TEST(BackwardPassOnce, ChunksOfTheFeedForwardNetworkGiveTheSameBits) {
  constexpr int64_t kManyTokens = kFeedForwardRows + 700;
  std::vector<int64_t> starts;
  for (int64_t t = 0; t < kManyTokens; t += 300) starts.push_back(t);
  const MicroBatch batch = packed_batch(kManyTokens, starts);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Decoder decoder =
        make_decoder({.name = "", .sparse = "sink=0,window=1", .bias = true}, dtype);
    const Outcome none = run(decoder, batch, {.recompute = Recomputation::none});
    expect_bits(run(decoder, batch, {.recompute = Recomputation::layers}), none);
    EXPECT_EQ(loss_of(decoder, batch, kChunkRowsOfDevice).cross_entropy, none.loss);
    if (dtype != at::kFloat) continue;
    const Outcome plain = plain_autograd(decoder, batch, 1);
    const auto expected = plain.gradients.parameters(), found = none.gradients.parameters();
    for (size_t i = 0; i < expected.size(); ++i) {
      // Sums over so many rows in another order.
      EXPECT_LE(max_difference(expected[i].tensor, found[i].tensor),
                256 * std::numeric_limits<float>::epsilon() * max_abs(expected[i].tensor))
          << expected[i].name;
    }
  }
}

TEST(BackwardPassOnce, TheLossAloneIsTheSame) {
  const Decoder decoder = make_decoder({.name = "", .sparse = "sink=0,window=1"});
  const MicroBatch batch = make_micro_batch();
  EXPECT_EQ(loss_of(decoder, batch, 512).cross_entropy, run(decoder, batch, {}).loss);
  EXPECT_NEAR(loss_of(decoder, batch, 7).cross_entropy, run(decoder, batch, {}).loss, 1e-3);
}

TEST(BackwardPassOnce, ABatchWithoutTargetsHasNoGradient) {
  const Decoder decoder = make_decoder({.name = "", .sparse = "sink=0,window=1"});
  MicroBatch batch = make_micro_batch();
  batch.targets_T.fill_(kNoTarget);
  const Outcome outcome = run(decoder, batch, {});
  EXPECT_EQ(outcome.loss, 0);
  for (const NamedTensor& gradient : outcome.gradients.parameters()) {
    EXPECT_EQ(max_abs(gradient.tensor), 0) << gradient.name;
  }
}

TEST(TrainingContext, GivesTheKeptAttentionAgainUntilItIsForgotten) {
  const c10::AutoGradMode no_grad(false);
  TrainingContext context(70, at::zeros({1}, at::kLong), 2, /*keep_results=*/true);
  const at::Tensor q = at::randn({70, 4, 8}), k = at::randn({70, 2, 8}), v = at::randn({70, 2, 8});
  const at::Tensor first = context.attend({1, Pattern::parse("sink")}, q, k, v);
  {
    // Other values: what comes back was not computed from them.
    const c10::AutoGradMode grad(true);
    EXPECT_TRUE(at::equal(context.attend({1, Pattern::parse("sink")}, q, k, v + 1), first));
    EXPECT_FALSE(at::equal(context.attend({0, Pattern::parse("sink")}, q, k, v + 1), first));
    context.forget(1);
    EXPECT_FALSE(at::equal(context.attend({1, Pattern::parse("sink")}, q, k, v + 1), first));
  }
}

}  // namespace
}  // namespace longgen
