// Training by several ranks, which are threads here: the same bits for any number of them.
#include "longgen/dist/counting.h"
#include "longgen/dist/volumes/gradients.h"
#include "longgen/train/gradient_exchange.h"
#include "run_test.h"
#include "tests/unit/dist/rank_threads.h"

namespace longgen {
namespace {

class Ranks : public RunTest {
 protected:
  /// Runs a recipe with so many ranks; gives what each threw.
  Names run_with(int num_ranks, const std::function<Recipe(int rank)>& recipe_of,
                 const TrainOptions& options = kForce) {
    return run_ranks_in_threads(num_ranks, [&](SocketCommunicator& ranks) {
      TrainOptions own = options;
      own.ranks = {&ranks, num_ranks, {{"version", "1"}}};
      train(recipe_of(ranks.rank()), own);
    });
  }

  Recipe recipe(const Names& more, const std::string& output = "run") const {
    return tiny_recipe(dir_, joined({"train.batch_size=10", "train.accumulation=5", "save.every=4",
                                     "model.output=" + (dir_ / output).string()},
                                    more));
  }

  /// What a run leaves: weights, moments, and the numbers of its log.
  Names results(const std::string& output) const {
    const fs::path run = dir_ / output;
    Names all = {weights_file(run),
                 read_file(run / "checkpoints/step-00000004/optimizer.safetensors")};
    for (const char* key : {"loss", "grad_norm", "eval_loss", "distill_loss"}) {
      all.push_back(Json(metric(run, key)).dump());
    }
    return all;
  }

  void expect_same_bits(const Names& more) {
    train(recipe(more, "alone"), kForce);
    const Names expected = results("alone");
    for (const int num_ranks : {2, 3, 4, 5}) {
      const std::string output = "of" + std::to_string(num_ranks);
      EXPECT_EQ(run_with(num_ranks, [&](int) { return recipe(more, output); }),
                Names(static_cast<size_t>(num_ranks)));
      EXPECT_TRUE(results(output) == expected) << num_ranks << " ranks";
    }
  }
};

TEST_F(Ranks, GiveTheSameBits) { expect_same_bits({}); }

TEST_F(Ranks, GiveTheSameBitsOfATiedModelWithAHeldOutPart) {
  Json config = tiny_config();
  config["tie_word_embeddings"] = true;
  write_tiny_model(dir_ / "model", config, 3);
  write_dataset(dir_ / "data", dir_ / "model", documents(40, 40), 0.3);
  expect_same_bits({"eval.every=3", "eval.sequences=3", "data.mask=none", "train.clip_norm=0.1"});
}

TEST_F(Ranks, GiveTheSameBitsWithATeacherFarWeightsAndAlignment) {
  expect_same_bits({"train.teacher=self", "train.distill_share=0.5", "train.far_weight=4",
                    "train.align_steps=2", "train.precision=bfloat16"});
}

TEST_F(Ranks, ARunGoesOnWithAnotherNumberOfThem) {
  train(recipe({}, "alone"), kForce);
  // Each of these ends as a run that was stopped there would have.
  const auto run_until = [&](int num_ranks, int step, const TrainOptions& options) {
    EXPECT_EQ(run_with(
                  num_ranks, [&](int) { return recipe({"save.every=2"}); }, options),
              Names(static_cast<size_t>(num_ranks)));
    go_back_to(step);
  };
  run_until(2, 2, kForce);
  run_until(3, 4, kResume);
  train(recipe({"save.every=2"}), kResume);
  EXPECT_TRUE(weights_file(run_dir()) == weights_file(dir_ / "alone"));
}

TEST_F(Ranks, AllStopWhereOneIsToldTo) {
  std::atomic<bool> stop = true;
  const auto errors = run_ranks_in_threads(3, [&](SocketCommunicator& ranks) {
    TrainOptions options = kForce;
    options.ranks = {&ranks, 3, {}};
    if (ranks.rank() == 2) options.stop = &stop;
    const TrainSummary summary = train(recipe({}), options);
    LG_CHECK(!summary.finished && summary.steps == 0, "not stopped");
  });
  EXPECT_EQ(errors, Names(3));
}

TEST_F(Ranks, WhatTheyCannotDoIsRefused) {
  EXPECT_EQ(
      run_with(2, [&](int) { return recipe({"train.accumulation=1"}); })[1],
      "--set train.accumulation=1: expected at least 2 micro-batches a step, one for each of the "
      "ranks, found 1. Set train.accumulation to a multiple of 2 that divides "
      "train.batch_size, or start fewer ranks.");
  EXPECT_EQ(
      run_with(2,
               [&](int) {
                 return recipe({"train.precision=bfloat16", "train.states=bfloat16"});
               })[0],
      "--set train.states=bfloat16: several ranks add up gradients in float32, found bfloat16. Set "
      "train.states = \"float32\" (--set train.states=float32), or use one rank.");
}

TEST_F(Ranks, DifferencesAreNamedBeforeAnythingChanges) {
  train(recipe({}), kForce);
  const std::string before = weights_file(run_dir());
  const auto errors = run_with(3, [&](int rank) {
    return recipe({rank == 2 ? "train.learning_rate=0.5" : "train.learning_rate=0.25"});
  });
  const std::string expected =
      "rank 2 differs from rank 0 in its recipe:\n  rank 0: learning_rate = 0.25\n  rank 2: "
      "learning_rate = 0.5\nStart all ranks with the same program, options, recipe, data and "
      "model.";
  expect_told(errors, expected);
  EXPECT_TRUE(weights_file(run_dir()) == before);
}

TEST(GradientExchange, SendsWhatTheClosedFormSays) {
  const ModelConfig config = parse_model_config(tiny_config().dump(), "config.json");
  constexpr int kRanks = 3;
  constexpr int64_t kBatches = 5, kChunk = 1000;
  const auto errors = run_ranks_in_threads(kRanks, [&](SocketCommunicator& sockets) {
    CountingCommunicator ranks(sockets);
    ModelWeights gradients = random_weights(config, at::kFloat, 1);
    int64_t num_elements = 0;
    for (const NamedTensor& gradient : gradients.parameters()) {
      num_elements += gradient.tensor.numel();
    }
    GradientExchange exchange(ranks, gradients, kChunk);
    double expected = 0;
    for (int64_t first = 0; first < kBatches; first += kRanks) {
      const auto given = static_cast<int>(std::min<int64_t>(kRanks, kBatches - first));
      // Batch number b has b + 1 everywhere.
      for (const NamedTensor& gradient : gradients.parameters()) {
        gradient.tensor.fill_(static_cast<double>(first + ranks.rank() + 1));
      }
      for (int r = 0; r < given; ++r) expected += static_cast<double>(first + r + 1);
      exchange.add_round("round", given);
    }
    exchange.finish("sums");
    for (const NamedTensor& gradient : gradients.parameters()) {
      LG_CHECK(gradient.tensor.eq(expected).all().item<bool>(), gradient.name, " is wrong");
    }
    LG_CHECK(ranks.sent().total() ==
                 gradient_bytes_sent(num_elements, 4, kBatches, kChunk, ranks.rank(), kRanks),
             "other bytes than planned");
  });
  EXPECT_EQ(errors, Names(kRanks));
}

}  // namespace
}  // namespace longgen
