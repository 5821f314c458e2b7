#include "longgen/train/trainer.h"

#include <cmath>
#include <limits>

#include "longgen/train/batches.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tiny_run.h"

namespace longgen {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const std::vector<std::string> kOneStep = {"train.steps=1", "train.warmup_steps=0"};

class Trainer : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    write_tiny_model(dir_ / "model", tiny_config(), 1);
    write_dataset(dir_ / "data", dir_ / "model", documents(30, 30));
  }

  TrainSummary run(const std::vector<std::string>& overrides) {
    return train(tiny_recipe(dir_, overrides), {.replace = true, .show_progress = false});
  }
  std::string error(const std::vector<std::string>& overrides) {
    return error_of([&] { run(overrides); });
  }
  /// Sets a field of the model's config.json.
  void change_config(const std::string& field, const Json& value) {
    Json json = parse_json(read_file(dir_ / "model/config.json"), "config.json");
    json[field] = value;
    write_file(dir_ / "model/config.json", json.dump());
  }
  /// Makes the model one for which the letter Z overflows.
  void overflow_at_z() {
    write_tiny_model(dir_ / "model", tiny_config(), 1,
                     [](ModelWeights& weights) { make_overflow(weights, 'Z'); });
  }
  std::vector<NamedTensor> trained() {
    return load_model(dir_ / "run" / "model").weights().parameters();
  }
  std::vector<NamedTensor> original() { return load_model(dir_ / "model").weights().parameters(); }
};

TEST_F(Trainer, WritesAModelThatKnowsItsContext) {
  const TrainSummary summary = run({});
  EXPECT_TRUE(summary.finished);
  EXPECT_EQ(summary.steps, 6);
  EXPECT_EQ(summary.total_steps, 6);
  EXPECT_EQ(summary.tokens, 6 * 2 * 160);
  EXPECT_EQ(summary.skipped_steps, 0);
  EXPECT_LT(summary.last_loss, summary.first_loss);
  EXPECT_NEAR(summary.first_loss, std::log(kTinyVocab), 0.5);
  EXPECT_EQ(summary.model, dir_ / "run" / "model");
  EXPECT_GT(summary.peak_memory_bytes, 0);
  const ModelConfig config = load_model_config(summary.model);
  EXPECT_EQ(config.context, 512);
  EXPECT_EQ(config.layers.full_layers(), std::vector<int64_t>{1});
  EXPECT_EQ(config.layers.sparse(), Pattern::parse("sink=0,window=1"));
  EXPECT_GT(config.rope.base, 10000);
  EXPECT_EQ(read_file(summary.model / "tokenizer.json"),
            read_file(dir_ / "model" / "tokenizer.json"));
  EXPECT_EQ(load_recipe(dir_ / "run" / "recipe.toml"), tiny_recipe(dir_));
}

TEST_F(Trainer, WritesEveryStepsNumbers) {
  const Recipe recipe = tiny_recipe(dir_, {"log.every=2", "train.steps=5"});
  train(recipe, {.show_progress = false});
  EXPECT_EQ(metric(dir_ / "run", "step"), (std::vector<Json>{2, 4, 5}));  // and the last one
  const auto rates = metric(dir_ / "run", "learning_rate");
  EXPECT_EQ(rates[1].get<double>(), recipe.schedule().learning_rate_at(4));
  EXPECT_EQ(metric(dir_ / "run", "tokens"), (std::vector<Json>{640, 1280, 1600}));
  for (const char* key : {"loss", "grad_norm", "tokens_per_s", "seconds", "memory_bytes"}) {
    ASSERT_EQ(metric(dir_ / "run", key).size(), 3u) << key;
    EXPECT_GT(metric(dir_ / "run", key)[0].get<double>(), 0) << key;
  }
  EXPECT_FALSE(fs::is_empty(dir_ / "run" / "tensorboard"));
}

TEST_F(Trainer, TheFirstLossAndGradientAreThoseOfTheFirstSamples) {
  run(kOneStep);
  const Recipe recipe = tiny_recipe(dir_);
  const TokenDataset dataset = TokenDataset::open(dir_ / "data", "train");
  const Packing packing(dataset, {.length = 160});
  const std::vector<Sample> samples = {packing.sample(0), packing.sample(1)};
  const Decoder decoder(load_model_config(dir_ / "run" / "model"),
                        load_model(dir_ / "model").weights());
  const double loss =
      loss_of(decoder, make_batch(samples, DocumentMask::documents), 100).cross_entropy /
      num_targets(samples);
  EXPECT_NEAR(metric(dir_ / "run", "loss")[0].get<double>(), loss, 1e-6 * loss);
}

TEST_F(Trainer, ATeachersPartStandsApartAndTheHeldOutLossStaysTheCrossEntropy) {
  write_dataset(dir_ / "data", dir_ / "model", documents(60, 30), 0.3);
  const std::vector<std::string> still = {"train.steps=1", "train.learning_rate=0", "eval.every=1",
                                          "train.warmup_steps=0"};
  run(still);
  const auto loss = metric(dir_ / "run", "loss"), held_out = metric(dir_ / "run", "eval_loss");
  EXPECT_TRUE(metric(dir_ / "run", "distill_loss").empty());
  auto distilled = still;
  distilled.insert(distilled.end(), {"train.teacher=self", "train.distill_share=1"});
  run(distilled);
  EXPECT_EQ(metric(dir_ / "run", "eval_loss"), held_out);
  EXPECT_NEAR(metric(dir_ / "run", "loss")[0].get<double>(), loss[0].get<double>(), 1e-6);
  const auto divergence = metric(dir_ / "run", "distill_loss")[0].get<double>();
  EXPECT_GT(divergence, 0);
  EXPECT_LT(divergence, loss[0].get<double>());
}

TEST_F(Trainer, ATeacherBringsTheStudentNearer) {
  const auto divergences = [&](const char* share) {
    run({"train.teacher=self", std::string("train.distill_share=") + share, "train.steps=30",
         "train.learning_rate=0.003"});
    const auto all = metric(dir_ / "run", "distill_loss");
    return std::pair(all.front().get<double>(), all.back().get<double>());
  };
  const auto with = divergences("1"), hardly = divergences("0.001");
  EXPECT_EQ(with.first, hardly.first);
  EXPECT_LT(with.second, hardly.second);
}

TEST_F(Trainer, TeachersThatCannotTeachAreRefusedWithWhatDiffers) {
  const fs::path teacher = dir_ / "teacher";
  const std::string key = "train.teacher=" + teacher.string();
  EXPECT_TRUE(contains(error({key}), "--set train.teacher="));  // it is not there
  Json json = tiny_config();
  json["vocab_size"] = 300;
  write_tiny_model(teacher, json, 1);
  EXPECT_TRUE(contains(error({key}),
                       ": expected a vocabulary of 257 tokens, that of model.path, "
                       "found 300."));
  write_tiny_model(teacher, tiny_config(), 1);
  EXPECT_TRUE(contains(error({key, "data.sequence_length=300"}),
                       ": expected a context of at least 300 tokens, data.sequence_length, found "
                       "256. Convert it first"));
  Json tokenizer = byte_tokenizer();
  tokenizer["added_tokens"][0]["content"] = "<|stop|>";
  write_file(teacher / "tokenizer.json", tokenizer.dump());
  EXPECT_TRUE(contains(error({key}), ": its tokenizer is not that of model.path, " +
                                         (dir_ / "model").string() +
                                         ". A teacher speaks of the same tokens."));
  EXPECT_TRUE(
      contains(error({"train.teacher=self", "architecture.layers=all"}),
               "--set train.teacher=self: expected a model with sparse layers, found none"));
  write_tiny_model(teacher, tiny_config(), 1,
                   [](ModelWeights& weights) { weights.final_norm_E[3] = kNaN; });
  EXPECT_TRUE(contains(error({key}), "Nothing can be learnt from these"));
  EXPECT_TRUE(contains(error({"train.teacher=" + (dir_ / "run" / "model").string()}),
                       "expected a directory outside of what the run writes"));
}

TEST_F(Trainer, AlignmentComesFirstAndChangesTheSparseLayersAttentionAlone) {
  const std::vector<std::string> recipe = {
      "train.steps=30",          "train.align_steps=29", "train.learning_rate=0.003",
      "train.schedule=constant", "save.every=29",        "log.every=1"};
  const TrainSummary summary = run(recipe);
  const auto losses = metric(dir_ / "run", "align_loss");
  ASSERT_EQ(losses.size(), 29u);
  EXPECT_LT(losses[28].get<double>(), 0.9 * losses[0].get<double>());
  EXPECT_EQ(metric(dir_ / "run", "loss").size(), 1u);
  EXPECT_EQ(summary.first_loss, summary.last_loss);
  EXPECT_GT(summary.first_loss, 3);
  const auto aligned =
      load_model(dir_ / "run" / "checkpoints" / "step-00000029").weights().parameters();
  const auto before = original();
  for (size_t i = 0; i < before.size(); ++i) {
    const std::string& name = before[i].name;
    const bool is_sparse = name.starts_with("layers.0.") || name.starts_with("layers.2.");
    const bool is_attention =
        name.ends_with(".qkv") || name.ends_with(".output") || name.ends_with(".attention_norm");
    EXPECT_EQ(aligned[i].tensor.equal(before[i].tensor), !(is_sparse && is_attention)) << name;
  }
  EXPECT_TRUE(contains(error({"train.align_steps=2", "architecture.layers=all"}),
                       "--set train.align_steps=2: expected 0 for a model without sparse layers, "
                       "found 2."));
}

TEST_F(Trainer, OnAGpuOnlyBfloat16IsTaken) {
  const std::string text =
      error_of([&] { train(tiny_recipe(dir_), {.show_progress = false, .device = c10::kCUDA}); });
  EXPECT_TRUE(contains(text, "test.toml: train.precision: on a GPU training computes in bfloat16"));
  EXPECT_TRUE(contains(text, "--set train.precision=bfloat16"));
  EXPECT_FALSE(fs::exists(dir_ / "run"));
}

TEST_F(Trainer, OverfitsFourSequences) {
  std::mt19937 random(3);
  std::vector<std::string> texts;
  for (int i = 0; i < 4; ++i) {
    std::string text = words(random, 200);
    texts.push_back(text.substr(0, 128));  // with <|end|> 129 tokens
  }
  write_dataset(dir_ / "data", dir_ / "model", texts);
  for (const char* states : {"float32", "bfloat16"}) {
    const TrainSummary summary = run(
        {"data.sequence_length=129", "data.packing=whole", "train.batch_size=4", "train.steps=400",
         "train.learning_rate=0.01", "train.weight_decay=0", "log.tensorboard=false",
         "train.states=" + std::string(states), "train.precision=" + std::string(states)});
    EXPECT_LT(summary.last_loss, 0.05) << states;
    EXPECT_GT(summary.first_loss, 4) << states;
  }
}

TEST_F(Trainer, StatesInBf16AreWeightsAndMomentsInBf16) {
  run({"train.precision=bfloat16", "train.states=bfloat16", "save.every=5"});
  const at::Tensor embedding = load_model(dir_ / "run" / "model").weights().embedding_VE;
  EXPECT_TRUE(embedding.equal(embedding.to(at::kBFloat16).to(at::kFloat)));
  const fs::path saved = dir_ / "run" / "checkpoints" / "step-00000005";
  EXPECT_EQ(load_model_config(saved).raw.at("torch_dtype"), "bfloat16");
  EXPECT_EQ(SafetensorsFile(saved / "optimizer.safetensors").find("v.embedding")->dtype,
            DType::bf16);
}

/// Largest difference of two runs' weights, and the largest weight.
std::pair<double, double> compare(const std::vector<NamedTensor>& a,
                                  const std::vector<NamedTensor>& b) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = std::max(difference, max_difference(a[i].tensor, b[i].tensor));
    largest = std::max(largest, max_abs(a[i].tensor));
  }
  return {difference, largest};
}

TEST_F(Trainer, AccumulationIsOneLargeBatch) {
  // AdamW divides by the gradient's size; eps keeps that from enlarging the rounding of gradients
  // that are near zero.
  const std::vector<std::string> common = {"train.steps=3", "train.batch_size=4", "train.eps=0.01",
                                           "train.learning_rate=0.01", "train.warmup_steps=0"};
  const auto with = [&](const std::string& setting) {
    std::vector<std::string> all = common;
    all.push_back(setting);
    run(all);
    return trained();
  };
  const auto large = with("train.accumulation=1");
  EXPECT_GT(compare(large, original()).first, 1e-3);  // something was learnt
  for (const char* setting : {"train.accumulation=2", "train.accumulation=4"}) {
    const auto [difference, largest] = compare(with(setting), large);
    EXPECT_LE(difference, 4 * std::numeric_limits<float>::epsilon() * largest) << setting;
  }
}

TEST_F(Trainer, RecomputingDoesNotChangeABit) {
  std::vector<std::string> files;
  for (const char* mode : {"layers", "layers_keep_attention", "none"}) {
    run({"train.recompute=" + std::string(mode)});
    files.push_back(weights_file(dir_ / "run"));
  }
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(files[0], files[2]);
}

TEST_F(Trainer, TheGradientIsClipped) {
  // With betas of 0 and eps 1 a step is learning_rate * g / (|g| + 1), for short gradients all but
  // learning_rate * g.
  const auto moved = [&](const std::string& clip) {
    run({"train.steps=1", "train.warmup_steps=0", "train.schedule=constant", "train.beta1=0",
         "train.beta2=0", "train.eps=1", "train.weight_decay=0", "train.learning_rate=1", clip});
    const auto before = original(), after = trained();
    double total = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      total += after[i].tensor.to(at::kDouble).sub(before[i].tensor).square().sum().item<double>();
    }
    return std::sqrt(total);
  };
  const double short_step = moved("train.clip_norm=0.01");
  EXPECT_LE(short_step, 0.01);
  EXPECT_GE(short_step, 0.0099);
  const double norm = metric(dir_ / "run", "grad_norm")[0].get<double>();
  EXPECT_GT(norm, 0.5) << "the norm in the log is that before clipping";
  EXPECT_GT(moved("train.clip_norm=0"), 0.3 * norm);
}

/// Steps of this fixture's recipe that see every document once.
int64_t steps_of_an_epoch(const fs::path& dir) {
  const TokenDataset dataset = TokenDataset::open(dir / "data", "train");
  return Packing(dataset, {.length = 160}).samples_per_epoch() / 2;
}

TEST_F(Trainer, AStepThatIsNotFiniteIsSkippedAndTheRunGoesOn) {
  // The letter Z is in one document alone.
  overflow_at_z();
  std::vector<std::string> texts = documents(30, 30);
  texts[7][10] = 'Z';
  write_dataset(dir_ / "data", dir_ / "model", texts);
  // Without a learning rate the overflow stays that letter's alone.
  const std::vector<std::string> recipe = {"train.steps=" + std::to_string(steps_of_an_epoch(dir_)),
                                           "train.learning_rate=0"};
  TrainSummary summary;
  const std::string warnings = stderr_of([&] { summary = run(recipe); });
  EXPECT_EQ(summary.skipped_steps, 1);
  EXPECT_TRUE(summary.finished);
  EXPECT_TRUE(contains(warnings, "not finite, so this step changes nothing"));
  const auto losses = metric(dir_ / "run", "loss");
  EXPECT_EQ(std::count_if(losses.begin(), losses.end(), [](const Json& x) { return x.is_null(); }),
            1);
  EXPECT_TRUE(weights_file(dir_ / "run") == read_file(dir_ / "model" / "model.safetensors"));
}

TEST_F(Trainer, AfterTooManySkippedStepsInARowTheRunStops) {
  // Every second document has a Z, and so has nearly every step.
  overflow_at_z();
  std::vector<std::string> texts = documents(60, 30);
  for (size_t i = 0; i < texts.size(); i += 2) texts[i][0] = 'Z';
  write_dataset(dir_ / "data", dir_ / "model", texts);
  std::string text;
  stderr_of([&] {
    text = error({"train.steps=50", "train.learning_rate=0", "train.max_skipped_steps=3"});
  });
  EXPECT_TRUE(contains(text, "--set train.max_skipped_steps=3: steps "));
  EXPECT_TRUE(contains(text, "changed nothing, so the run stops; no model is written."));
  EXPECT_FALSE(fs::exists(dir_ / "run" / "model"));
  const auto losses = metric(dir_ / "run", "loss");
  ASSERT_GE(losses.size(), 3u);
  for (size_t i = losses.size() - 3; i < losses.size(); ++i) EXPECT_TRUE(losses[i].is_null());
}

TEST_F(Trainer, WhereNoStepIsFiniteNothingIsWritten) {
  for (const char* precision : {"train.precision=float32", "train.precision=bfloat16"}) {
    write_tiny_model(dir_ / "model", tiny_config(), 1, [](ModelWeights& weights) {
      weights.layers[1].linear(TensorRole::kDown).weight.fill_(3e38F);
    });
    std::string text;
    stderr_of([&] { text = error({precision, "train.steps=2", "save.every=1"}); });
    EXPECT_EQ(text,
              "test.toml: train.max_skipped_steps: steps 1 to 2 gave a loss or a gradient that is "
              "not finite and changed nothing, so the run stops; no model is written.\n"
              "  There is no checkpoint of this run.\n"
              "  No step was finite. Likely the model itself is not sound in this precision: does "
              "`longgen eval perplexity` give a number for model.path? Then see architecture.rope "
              "and data.path.");
    EXPECT_FALSE(fs::exists(dir_ / "run" / "model"));
    EXPECT_FALSE(fs::exists(dir_ / "run" / "checkpoints"));
  }
}

TEST_F(Trainer, AModelOfWeightsThatAreNotFiniteIsRefused) {
  for (const float bad : {kNaN, std::numeric_limits<float>::infinity()}) {
    write_tiny_model(dir_ / "model", tiny_config(), 1,
                     [&](ModelWeights& weights) { weights.embedding_VE['Z'].fill_(bad); });
    EXPECT_EQ(error({}), "test.toml: line 2: model.path: " + (dir_ / "model").string() +
                             ": tensor model.embed_tokens.weight: 32 of its 8,224 numbers are not "
                             "finite. Nothing can be trained from these: import or convert the "
                             "model anew.");
    EXPECT_FALSE(fs::exists(dir_ / "run" / "metrics.jsonl"));
  }
}

TEST_F(Trainer, WeightsThatBecameNaNAreNotWritten) {
  // No recipe can say so: what was read in no step has 0 / (0 + eps) then.
  Recipe recipe = tiny_recipe(dir_, kOneStep);
  recipe.train.eps = 0;
  for (const bool saves : {false, true}) {
    recipe.train.steps = saves ? 2 : 1;
    recipe.save.every = saves ? 1 : 0;
    const std::string text =
        error_of([&] { train(recipe, {.replace = true, .show_progress = false}); });
    EXPECT_TRUE(contains(
        text, (dir_ / "run").string() + ": after step 1: tensor model.embed_tokens.weight: "));
    EXPECT_TRUE(contains(text, saves ? " numbers are not finite. So no checkpoint is written."
                                     : " numbers are not finite. So no model is written."));
    EXPECT_FALSE(fs::exists(dir_ / "run" / "model"));
    EXPECT_FALSE(fs::exists(dir_ / "run" / "checkpoints"));
  }
}

TEST_F(Trainer, Bf16LearnsToo) {
  const std::vector<std::string> common = {"train.steps=60", "train.batch_size=4",
                                           "train.learning_rate=0.01", "log.tensorboard=false"};
  const auto with = [&](const char* setting) {
    std::vector<std::string> all = common;
    all.emplace_back(setting);
    return run(all);
  };
  const TrainSummary exact = with("train.precision=float32");
  const TrainSummary rounded = with("train.precision=bfloat16");
  EXPECT_LT(exact.last_loss, 3);
  EXPECT_NEAR(rounded.last_loss, exact.last_loss, 0.05 * exact.last_loss);
  // bf16 has 8 bits: its loss is another, but not by much.
  EXPECT_NEAR(rounded.first_loss, exact.first_loss, 0.01 * exact.first_loss);
  EXPECT_GT(std::abs(rounded.first_loss - exact.first_loss), 1e-6 * exact.first_loss);
  // The masters keep what a bf16 weight cannot: they are not bf16 numbers.
  const at::Tensor embedding = load_model(dir_ / "run" / "model").weights().embedding_VE;
  EXPECT_FALSE(embedding.equal(embedding.to(at::kBFloat16).to(at::kFloat)));
}

TEST_F(Trainer, TheModelKeepsItsStoredType) {
  const Decoder decoder = load_model(dir_ / "model");
  save_model(dir_ / "model", decoder.config(), decoder.weights(), at::kBFloat16);
  run(kOneStep);
  EXPECT_LT(fs::file_size(dir_ / "run/model/model.safetensors"),
            fs::file_size(dir_ / "model/model.safetensors") + 4096);
  EXPECT_EQ(load_model_config(dir_ / "run/model").raw.at("torch_dtype"), "bfloat16");
}

TEST_F(Trainer, TheStoredTypeIsThatOfTheTensors) {
  // fp32 tensors under a config.json that says something else, as editors of directories leave it.
  change_config("torch_dtype", "float16");
  run(kOneStep);
  EXPECT_EQ(stored_types(dir_ / "run/model").names(), "F32");
  EXPECT_EQ(load_model_config(dir_ / "run/model").raw.at("torch_dtype"), "float32");
}

TEST_F(Trainer, AHeadWithOtherNumbersIsTrained) {
  change_config("tie_word_embeddings", true);
  run(kOneStep);
  const Decoder trained = load_model(dir_ / "run/model");
  EXPECT_FALSE(trained.config().tied_embeddings);
  EXPECT_EQ(trained.config().raw.at("tie_word_embeddings"), false);
  EXPECT_FALSE(trained.weights().head_VE.equal(trained.weights().embedding_VE));
}

TEST_F(Trainer, WithoutAMaskDocumentsSeeThoseBeforeThem) {
  const double masked = run(kOneStep).first_loss;
  const TrainSummary open = run({"train.steps=6", "data.mask=none"});
  EXPECT_NE(open.first_loss, masked);
  EXPECT_LT(open.last_loss, open.first_loss);
}

TEST_F(Trainer, MeasuresTheHeldOutLoss) {
  write_dataset(dir_ / "data", dir_ / "model", documents(60, 30), 0.3);
  run({"train.steps=5", "eval.every=2", "eval.sequences=3"});
  const auto losses = metric(dir_ / "run", "eval_loss");
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_LT(losses[1].get<double>(), losses[0].get<double>());
  const TokenDataset dataset = TokenDataset::open(dir_ / "data", "held_out");
  const Packing packing(dataset, {.length = 160});
  run({"train.steps=2", "eval.every=2", "eval.sequences=3"});
  const Decoder decoder = load_model(dir_ / "run" / "model");
  const std::vector<Sample> samples = {packing.sample(0), packing.sample(1), packing.sample(2)};
  const double expected =
      loss_of(decoder, make_batch(samples, DocumentMask::documents), 100).cross_entropy /
      num_targets(samples);
  EXPECT_NEAR(metric(dir_ / "run", "eval_loss")[0].get<double>(), expected, 1e-5 * expected);
}

TEST_F(Trainer, MistakesNameTheKey) {
  EXPECT_TRUE(contains(error({"architecture.layers=9"}), "--set architecture.layers=9"));
  EXPECT_TRUE(contains(error({"architecture.layers=9"}), "layer 9 of a model with layers 0 to 2"));
  EXPECT_TRUE(contains(error({"architecture.sparse=full"}),
                       "--set architecture.sparse=full: [pattern] 'full' is full attention."));
  EXPECT_TRUE(contains(error({"architecture.sparse=what"}), "--set architecture.sparse=what"));
  EXPECT_TRUE(contains(error({"model.path=nowhere"}), "nowhere"));
  EXPECT_TRUE(contains(error({"data.path=nowhere"}), "nowhere"));
  EXPECT_TRUE(contains(error({"architecture.context=1M", "data.sequence_length=1M"}),
                       "fewer than one sample of 1048576"));
  EXPECT_TRUE(contains(error({"eval.every=1"}), "set eval.every = 0"));
  EXPECT_TRUE(contains(error({"train.offload=layer_inputs"}),
                       "--set train.offload=layer_inputs: layer inputs can be offloaded from a GPU "
                       "only"));
}

TEST_F(Trainer, AnotherTokenizersDatasetIsRefused) {
  Json tokenizer = byte_tokenizer();
  tokenizer["version"] = "2.0";
  write_file(dir_ / "model" / "tokenizer.json", tokenizer.dump());
  EXPECT_TRUE(contains(error({}), "tokenizer"));
  EXPECT_FALSE(fs::exists(dir_ / "run"));
}

TEST_F(Trainer, AVocabularyThatIsTooSmallIsRefused) {
  Json config = tiny_config();
  config["vocab_size"] = 256;
  config["eos_token_id"] = 255;
  write_tiny_model(dir_ / "model", config, 1);
  EXPECT_TRUE(
      contains(error({}), "the dataset has tokens up to 256, but the model a vocabulary of 256"));
}

}  // namespace
}  // namespace longgen
