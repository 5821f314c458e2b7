// The samples that a recipe asks for; how they are mixed is mixture_test.cpp's.
#include "longgen/train/training_data.h"

#include "longgen/base/random.h"
#include "longgen/train/batches.h"
#include "longgen/train/recipe/hybrid_config.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tests/unit/train/tiny_run.h"

namespace longgen {
namespace {

class TrainingDataTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    write_tiny_model(dir_ / "model", tiny_config(), 1);
    write_dataset(dir_ / "data", dir_ / "model", documents(40, 40), 0.5);
    write_dataset(dir_ / "other", dir_ / "model", {std::string(4000, '#')});
  }

  /// A source of the folder's dataset of this name.
  std::string source(const std::string& name, double weight) const {
    return "{path = '" + (dir_ / name).string() + "', weight = " + std::to_string(weight) + "}";
  }

  Recipe mixed(const std::string& sources, std::vector<std::string> overrides = {}) const {
    overrides.push_back("data.sources=[" + sources + "]");
    return tiny_recipe(dir_, overrides);
  }

  static std::string error(const Recipe& recipe) {
    return error_of([&] { TrainingData(recipe, hybrid_config(recipe)); });
  }
};

TEST_F(TrainingDataTest, BatchesHaveTheSharesOfTheSources) {
  const Recipe recipe = mixed(source("data", 3) + "," + source("other", 1), {"train.batch_size=4"});
  const TrainingData data(recipe, hybrid_config(recipe));
  for (int64_t step = 1; step <= 6; ++step) {
    const StepBatches batches = data.batches(step);
    ASSERT_EQ(batches.batches.size(), 1u);
    const at::Tensor tokens = batches.batches[0].tokens_T.view({4, 160});
    int64_t from_other = 0;
    for (int64_t i = 0; i < 4; ++i) from_other += tokens[i].eq('#').any().item<bool>();
    EXPECT_EQ(from_other, 1) << "of every four samples, in step " << step;
  }
}

TEST_F(TrainingDataTest, AMixtureOfOneIsThePathAlone) {
  const Recipe one = tiny_recipe(dir_), mixture = mixed(source("data", 7));
  const TrainingData a(one, hybrid_config(one)), b(mixture, hybrid_config(mixture));
  EXPECT_EQ(a.hash(), b.hash());
  for (int64_t step = 1; step <= 5; ++step) {
    EXPECT_TRUE(a.batches(step).batches[0].tokens_T.equal(b.batches(step).batches[0].tokens_T));
  }
}

TEST_F(TrainingDataTest, WhatIsWrongWithASourceIsNamed) {
  const std::string two = source("data", 1) + "," + source("other", 1);
  EXPECT_EQ(error(mixed(two)), "");
  const Recipe evaluated = mixed(two, {"eval.every=1"});
  EXPECT_EQ(
      error(evaluated),
      "--set eval.every=1: " + (dir_ / "other").string() +
          "'s held-out part has 0 tokens, but one sequence takes 160. Prepare the data with a "
          "larger --held-out, or set eval.every = 0.");
  EXPECT_TRUE(contains(error(mixed(source("data", 1) + "," + source("none", 1))),
                       (dir_ / "none").string() + ": expected a token dataset, found nothing"));
  const Recipe anchored = mixed(two, {"data.mask=anchor"});
  EXPECT_TRUE(contains(error(anchored), "was prepared without a begin token"));
  Json manifest = parse_json(read_file(dir_ / "other/manifest.json"), "manifest");
  manifest["tokenizer"]["largest_id"] = 300;
  manifest["tokenizer"]["vocab_size"] = 301;
  write_file(dir_ / "other/manifest.json", manifest.dump());
  EXPECT_TRUE(contains(error(mixed(two)),
                       "data.sources[1].path: the dataset has tokens up to 300, "
                       "but the model a vocabulary of 257."));
  manifest["tokenizer"]["hash"] = "0";
  write_file(dir_ / "other/manifest.json", manifest.dump());
  EXPECT_TRUE(contains(error(mixed(two)),
                       (dir_ / "other").string() + ": its tokens come from another tokenizer"));
}

TEST_F(TrainingDataTest, EverySourceHasAHeldOutLossOfItsOwn) {
  write_dataset(dir_ / "other", dir_ / "model", documents(60, 60, 2), 0.5);
  const Recipe recipe =
      mixed(source("data", 8) + "," + source("other", 1), {"eval.every=1", "eval.sequences=5"});
  const ModelConfig config = hybrid_config(recipe);
  const Decoder decoder(config, load_model(dir_ / "model").weights());
  const HeldOutLoss held_out = TrainingData(recipe, config).held_out_loss(decoder);
  // Of 5 samples the mixture has at most one of the second source, whose share is 3.
  const auto expected = [&](const std::string& name, uint64_t seed, int64_t num_samples) {
    const TokenDataset dataset = TokenDataset::open(dir_ / name, kHeldOutSplit);
    const Packing packing(dataset, {.length = 160, .seed = seed});
    std::vector<Sample> samples;
    for (int64_t i = 0; i < num_samples; ++i) samples.push_back(packing.sample(i));
    const LossSums sums = loss_of(decoder, make_batch(samples, DocumentMask::documents), 100);
    return sums.cross_entropy / sums.weights;
  };
  ASSERT_EQ(held_out.sources.size(), 2u);
  EXPECT_EQ(held_out.sources[0].name, "data");
  EXPECT_EQ(held_out.sources[1].name, "other");
  int64_t of_first = 0;
  for (int64_t i = 0; i < 5; ++i) of_first += SourceOrder({8, 1}, 0).place(i).source == 0;
  EXPECT_GE(of_first, 4);
  EXPECT_NEAR(held_out.sources[0].loss, expected("data", 0, of_first), 1e-5);
  EXPECT_NEAR(held_out.sources[1].loss, expected("other", mix_pair(0, 1), 3), 1e-5);
  EXPECT_NE(held_out.mean, held_out.sources[0].loss);
  const Recipe alone = tiny_recipe(dir_, {"eval.every=1", "eval.sequences=5"});
  const HeldOutLoss of_path = TrainingData(alone, config).held_out_loss(decoder);
  EXPECT_TRUE(of_path.sources.empty());
  EXPECT_NEAR(of_path.mean, expected("data", 0, 5), 1e-5);
}

TEST_F(TrainingDataTest, MarksReachTheBatches) {
  write_file(dir_ / "marked.jsonl",
             Json{{"text", std::string(400, 'x')}, {"answers", {{0, 400}}}}.dump());
  PrepareOptions options;
  options.inputs = {dir_ / "marked.jsonl"};
  options.output = dir_ / "marked";
  options.held_out_share = 0;
  options.show_progress = false;
  const Tokenizer tokenizer = Tokenizer::load(dir_ / "model");
  prepare_dataset(text_encoder(tokenizer, "bytes", std::nullopt, 256), options);
  const Recipe recipe =
      mixed(source("data", 1) + "," + source("marked", 1), {"train.answer_weight=3"});
  const TrainingData data(recipe, hybrid_config(recipe));
  const MicroBatch batch = data.batches(1).batches[0];
  ASSERT_TRUE(batch.weights_T.defined());
  EXPECT_TRUE(
      batch.weights_T.eq(3).equal(batch.targets_T.eq('x').bitwise_and(batch.tokens_T.eq('x'))));
  EXPECT_TRUE(batch.weights_T.eq(0).equal(batch.targets_T.lt(0)));
}

}  // namespace
}  // namespace longgen
