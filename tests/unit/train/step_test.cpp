// One optimizer step: which results change weights, and that the others change nothing at all.
#include "longgen/train/step.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tiny_run.h"

namespace longgen {
namespace {

/// Makes a model for which the letter Z overflows.
TrainableModel overflowing_model() {
  const ModelConfig config = parse_model_config(tiny_config().dump(), "config.json");
  ModelWeights weights = random_weights(config, at::kFloat, 1);
  make_overflow(weights, 'Z');
  return {config, weights, at::kFloat};
}

class Step : public ::testing::Test {
 protected:
  StepResult step(const std::string& letters, double clip_norm) {
    const at::Tensor tokens = at::empty({static_cast<int64_t>(letters.size())}, at::kLong);
    for (size_t i = 0; i < letters.size(); ++i) {
      tokens[static_cast<int64_t>(i)] = static_cast<int64_t>(letters[i]);
    }
    const MicroBatch batch = {tokens, tokens, at::zeros({1}, at::kLong)};
    StepOptions options;
    options.adamw.learning_rate = 0.1;
    options.clip_norm = clip_norm;
    return train_step(model_, {batch}, tokens.numel(), 1, options);
  }

  /// Copies of all weights and moments.
  std::vector<at::Tensor> state() const {
    std::vector<at::Tensor> copies;
    for (const ModelWeights& weights : {model_.masters(), model_.moments().m, model_.moments().v}) {
      for (const NamedTensor& named : weights.parameters()) {
        copies.push_back(named.tensor.detach().clone());
      }
    }
    return copies;
  }

  TrainableModel model_ = overflowing_model();
};

int64_t num_changed(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after) {
  int64_t count = 0;
  for (size_t i = 0; i < before.size(); ++i) count += !at::equal(before[i], after[i]);
  return count;
}

TEST_F(Step, ALossThatIsNotFiniteChangesNothing) {
  const auto before = state();
  const StepResult result = step("the Z", 1);
  EXPECT_FALSE(std::isfinite(result.loss));
  EXPECT_FALSE(result.applied);
  EXPECT_EQ(num_changed(before, state()), 0);
}

TEST_F(Step, AGradientBeyondTheMomentsIsTakenOnlyClipped) {
  // 1e30 is the derivative by the last number of the residual stream, which is 0 here.
  const auto before = state();
  const StepResult open = step("the sea", 0);
  EXPECT_TRUE(std::isfinite(open.loss));
  EXPECT_GT(open.gradient_norm, kLargestNorm);
  EXPECT_TRUE(std::isfinite(open.gradient_norm));
  EXPECT_FALSE(open.applied);
  EXPECT_EQ(num_changed(before, state()), 0);
  const StepResult clipped = step("the sea", 1);
  EXPECT_TRUE(clipped.applied);
  EXPECT_EQ(clipped.gradient_norm, open.gradient_norm);
  EXPECT_GT(num_changed(before, state()), 0);
}

}  // namespace
}  // namespace longgen
