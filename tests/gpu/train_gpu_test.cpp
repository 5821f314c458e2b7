// Training on the GPU: optimizer, loss and gradients of a whole model, runs and resuming them.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cmath>

#include "longgen/base/units.h"
#include "longgen/device/gpu_memory.h"
#include "longgen/plan/memory.h"
#include "longgen/train/backward_pass.h"
#include "longgen/train/objective/alignment.h"
#include "longgen/train/optimizer.h"
#include "tests/gpu/gpu_test.h"
#include "tests/unit/train/model_cases.h"
#include "tests/unit/train/tiny_run.h"

namespace longgen {
namespace {

/// Heads of 64, which the GPU's attention takes: 4 on 2 KV heads, 3 layers.
Json gpu_config() {
  Json json = tiny_config();
  json["hidden_size"] = 256;
  json["intermediate_size"] = 384;
  json["initializer_range"] = 0.05;
  return json;
}

/// Numbers that bf16 has, in fp32.
ModelWeights bf16_weights(const ModelConfig& config) {
  const ModelWeights weights = varied_weights(config, at::kFloat);
  return converted(converted(weights, at::kBFloat16, at::kCPU), at::kFloat, at::kCPU);
}

/// Three documents of 700, 1 and 599 tokens; every ninth row has no target.
MicroBatch make_micro_batch() { return packed_batch(1300, {0, 700, 701}); }

struct Outcome {
  double loss = 0;
  ModelWeights gradients;  // on the CPU
};

Outcome run(const ModelConfig& config, const ModelWeights& weights, at::ScalarType dtype,
            at::Device device, const BackwardOptions& options = {},
            const MicroBatch& batch = make_micro_batch()) {
  const ModelWeights moved = converted(weights, dtype, device);
  require_gradients(moved);
  const Decoder decoder(config, moved);
  ModelWeights gradients = zeros_like(moved, at::kFloat);
  const double loss = backward_pass(decoder, batch, options, gradients).cross_entropy;
  return {loss, converted(gradients, at::kFloat, at::kCPU)};
}

void expect_bits(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.loss, b.loss);
  const auto left = a.gradients.parameters(), right = b.gradients.parameters();
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].tensor, right[i].tensor)) << left[i].name;
  }
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
}

/// What the GPU's other order of sums may add, as shares of the true loss and of each gradient.
struct Slack {
  double loss, gradients;
};

/// Expects of loss and gradients on the GPU at most twice the CPU's error in the same type, both
/// against the truth, and the slack more.
void expect_as_good(const Outcome& gpu, const Outcome& cpu, const Outcome& truth, Slack slack) {
  EXPECT_LE(std::abs(gpu.loss - truth.loss),
            2 * std::abs(cpu.loss - truth.loss) + slack.loss * truth.loss);
  const auto want = truth.gradients.parameters(), of_cpu = cpu.gradients.parameters(),
             of_gpu = gpu.gradients.parameters();
  ASSERT_EQ(of_gpu.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    const double size = want[i].tensor.to(at::kDouble).norm().item<double>();
    EXPECT_LE(distance(of_gpu[i].tensor, want[i].tensor),
              2 * distance(of_cpu[i].tensor, want[i].tensor) + slack.gradients * size)
        << want[i].name;
  }
}

class ModelGpu : public GpuTest, public ::testing::WithParamInterface<ModelCase> {};

// bf16 on the GPU may be twice as wrong as bf16 on the CPU, both against fp32, and one rounding
// of bf16 more.
TEST_P(ModelGpu, LossAndGradientsAreAsGoodAsThoseOfTheCpu) {
  const ModelConfig config = config_of(GetParam(), gpu_config());
  const ModelWeights weights = bf16_weights(config);
  const Outcome truth = run(config, weights, at::kFloat, at::kCPU);
  const Outcome cpu = run(config, weights, at::kBFloat16, at::kCPU);
  const Outcome gpu = run(config, weights, at::kBFloat16, kGpu);
  expect_as_good(gpu, cpu, truth, {.loss = 0x1p-10, .gradients = 0x1p-8});
  for (const NamedTensor& want : truth.gradients.parameters()) {
    EXPECT_GT(want.tensor.norm().item<double>(), 0) << want.name;
  }
}

TEST_P(ModelGpu, EveryWayOfRecomputingAndEveryRunGiveTheSameBits) {
  const ModelConfig config = config_of(GetParam(), gpu_config());
  const ModelWeights weights = bf16_weights(config);
  const auto with = [&](Recomputation recompute) {
    return run(config, weights, at::kBFloat16, kGpu, {.recompute = recompute});
  };
  const Outcome none = with(Recomputation::none);
  expect_bits(with(Recomputation::none), none);
  expect_bits(with(Recomputation::layers), none);
  expect_bits(with(Recomputation::layers_keep_attention), none);
}

TEST_P(ModelGpu, OffloadedLayerInputsComeBackAsTheyWere) {
  const ModelConfig config = config_of(GetParam(), gpu_config());
  const ModelWeights weights = bf16_weights(config);
  const Outcome kept = run(config, weights, at::kBFloat16, kGpu);
  LayerOffload offload(kGpu);
  for (const Recomputation recompute :
       {Recomputation::layers, Recomputation::layers_keep_attention}) {
    for (int pass = 0; pass < 3; ++pass) {  // later ones use the host's memory again
      expect_bits(
          run(config, weights, at::kBFloat16, kGpu, {.recompute = recompute, .offload = &offload}),
          kept);
    }
  }
}

// More rows than the feed-forward network takes at once.
TEST_P(ModelGpu, ChunksOfTheFeedForwardNetworkChangeNoBitWhateverIsRecomputed) {
  const ModelConfig config = config_of(GetParam(), gpu_config());
  const ModelWeights weights = bf16_weights(config);
  std::vector<int64_t> starts;
  for (int64_t t = 0; t < kFeedForwardRows + 700; t += 1000) starts.push_back(t);
  const MicroBatch batch = packed_batch(kFeedForwardRows + 700, starts);
  const Outcome none =
      run(config, weights, at::kBFloat16, kGpu, {.recompute = Recomputation::none}, batch);
  LayerOffload offload(kGpu);
  expect_bits(run(config, weights, at::kBFloat16, kGpu, {.offload = &offload}, batch), none);
  // No chunk is left out or taken twice: that would be an error of about a half.
  const Outcome truth = run(config, weights, at::kFloat, at::kCPU, {}, batch);
  for (size_t layer = 0; layer < truth.gradients.layers.size(); ++layer) {
    for (const TensorRole role : {TensorRole::kGateUp, TensorRole::kDown}) {
      const at::Tensor& want = truth.gradients.layers[layer].linear(role).weight;
      // The error of bf16 activations is some roundings of 2^-8.
      EXPECT_LE(distance(none.gradients.layers[layer].linear(role).weight, want),
                0x1p-4 * want.to(at::kDouble).norm().item<double>())
          << layer;
    }
  }
}

TEST_P(ModelGpu, ForwardAloneGivesTheLossOfTheTrainingPass) {
  const ModelConfig config = config_of(GetParam(), gpu_config());
  const ModelWeights weights = converted(bf16_weights(config), at::kBFloat16, kGpu);
  require_gradients(weights);
  const Decoder decoder(config, weights);
  ModelWeights gradients = zeros_like(weights, at::kFloat);
  const double trained = backward_pass(decoder, make_micro_batch(), {}, gradients).cross_entropy;
  EXPECT_EQ(loss_of(decoder, make_micro_batch(), kChunkRowsOfDevice).cross_entropy, trained);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ModelGpu,
    ::testing::Values(ModelCase{"full", ""}, ModelCase{"sink", "sink=1,window=2", true},
                      ModelCase{"stride", "sink=1,window=1,stride=2", false, true},
                      ModelCase{"bias", "sink=1,window=4", false, false, true},
                      ModelCase{"qkv_bias", "", false, false, false, true}),
    [](const auto& c) { return std::string(c.param.name); });

using ObjectiveGpu = GpuTest;

TEST_F(ObjectiveGpu, ATeacherAndWeightsAreAsGoodAsThoseOfTheCpuAndTheSameBitsInEveryWay) {
  const ModelConfig config = config_of({.name = "", .sparse = "sink=1,window=1"}, gpu_config());
  const ModelWeights weights = bf16_weights(config);
  MicroBatch batch = make_micro_batch();
  at::manual_seed(4);
  batch.weights_T = at::rand({batch.tokens_T.size(0)}) * 3;
  LayerOffload offload(kGpu);
  const auto with = [&](at::ScalarType dtype, at::Device device, BackwardOptions options) {
    const ModelWeights moved = converted(weights, dtype, device);
    require_gradients(moved);
    const Decoder decoder(config, moved);
    const Teacher teacher = Teacher::of(decoder);
    options.objective = {.teacher = &teacher, .distill_share = 0.5, .far_weight = 3};
    ModelWeights gradients = zeros_like(moved, at::kFloat);
    const LossSums sums = backward_pass(decoder, batch, options, gradients);
    return Outcome{0.5 * (sums.cross_entropy + sums.divergence) / sums.weights,
                   converted(gradients, at::kFloat, at::kCPU)};
  };
  const Outcome truth = with(at::kFloat, at::kCPU, {}), cpu = with(at::kBFloat16, at::kCPU, {});
  const Outcome gpu = with(at::kBFloat16, kGpu, {});
  expect_as_good(gpu, cpu, truth, {.loss = 0x1p-9, .gradients = 0x1p-6});
  const Outcome none = with(at::kBFloat16, kGpu, {.recompute = Recomputation::none});
  expect_bits(gpu, none);
  expect_bits(with(at::kBFloat16, kGpu, {.offload = &offload}), none);
}

TEST_F(ObjectiveGpu, AlignmentIsAsGoodAsThatOfTheCpu) {
  const ModelConfig config = config_of({.name = "", .sparse = "sink=1,window=1"}, gpu_config());
  const ModelWeights weights = bf16_weights(config);
  const auto with = [&](at::ScalarType dtype, at::Device device) {
    const ModelWeights moved = converted(weights, dtype, device);
    require_gradients(moved);
    const Decoder student(config, moved);
    ModelConfig full = config;
    full.layers = full.layers.without_sparse();
    const Decoder origin(full, moved);
    ModelWeights gradients = zeros_like(moved, at::kFloat);
    const double loss = alignment_pass(student, make_micro_batch(), {origin}, gradients);
    return Outcome{loss, converted(gradients, at::kFloat, at::kCPU)};
  };
  const Outcome truth = with(at::kFloat, at::kCPU), cpu = with(at::kBFloat16, at::kCPU);
  const Outcome gpu = with(at::kBFloat16, kGpu);
  expect_as_good(gpu, cpu, truth, {.loss = 0x1p-7, .gradients = 0x1p-6});
  expect_bits(with(at::kBFloat16, kGpu), gpu);
}

using MemoryGpu = GpuTest;

// Shapes of a 7B model at an eighth of its width, whose fullest moments are those at 128K tokens.
TEST_F(MemoryGpu, APassTakesWhatIsPlanned) {
  constexpr int64_t kTokens = 65536;
  Json json = gpu_config();
  json["num_hidden_layers"] = 4;
  json["hidden_size"] = 512;
  json["intermediate_size"] = 1376;
  json["num_attention_heads"] = json["num_key_value_heads"] = 8;
  const ModelConfig config = config_of({"", "sink=1,window=16"}, json);
  std::vector<int64_t> starts;
  for (int64_t t = 0; t < kTokens; t += 8192) starts.push_back(t);
  const MicroBatch batch = packed_batch(kTokens, starts);
  const ModelWeights weights = converted(bf16_weights(config), at::kBFloat16, kGpu);
  require_gradients(weights);
  const Decoder decoder(config, weights);
  ModelWeights gradients = zeros_like(weights, at::kBFloat16);
  LayerOffload offload(kGpu);
  const auto growth = [&](LayerOffload* where) {
    const int64_t before = gpu_memory(kGpu).allocated;
    c10::getDeviceAllocator(at::kCUDA)->resetPeakStats(0);
    backward_pass(decoder, batch, {.loss_chunk_rows = 64, .offload = where}, gradients);
    return gpu_memory(kGpu).peak_allocated - before;
  };
  growth(nullptr);  // libraries take their workspaces in the first pass
  for (const Offloading mode : {Offloading::none, Offloading::layer_inputs}) {
    const MemoryPlan plan =
        training_memory(config, kTokens, NumberFormat::bfloat16, {.offload = mode});
    const int64_t planned = plan.bytes("layer inputs") + plan.bytes("layer working set");
    const int64_t found = growth(mode == Offloading::none ? nullptr : &offload);
    EXPECT_NEAR(static_cast<double>(found) / static_cast<double>(planned), 1, 0.15)
        << format_bytes(found) << " of " << format_bytes(planned) << " planned, offload "
        << kOffloadings.name(mode);
  }
}

class TrainGpu : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    dir_ = fs::temp_directory_path() /
           ("longgen_train_gpu." +
            std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + "." +
            std::to_string(::getpid()));
    fs::create_directories(dir_);
    write_tiny_model(dir_ / "model", gpu_config(), 1);
    write_dataset(dir_ / "data", dir_ / "model", documents(60, 60), 0.2);
  }
  void TearDown() override {
    if (!dir_.empty()) fs::remove_all(dir_);
  }

  Recipe recipe(const std::string& output, std::vector<std::string> more = {}) const {
    const std::vector<std::string> overrides = {"train.precision=bfloat16",
                                                "train.steps=10",
                                                "train.threads=0",
                                                "train.loss_chunk_rows=0",
                                                "data.sequence_length=320",
                                                "save.every=5",
                                                "save.keep=9",
                                                "eval.every=5",
                                                "eval.sequences=1",
                                                "model.output=" + (dir_ / output).string()};
    more.insert(more.begin(), overrides.begin(), overrides.end());
    return tiny_recipe(dir_, more);
  }

  fs::path dir_;
};

const TrainOptions kOnGpu = {.show_progress = false, .device = kGpu};
const TrainOptions kResumeOnGpu = {.resume = true, .show_progress = false, .device = kGpu};

TEST_F(TrainGpu, TenStepsAreThoseOfTheCpu) {
  const TrainSummary gpu = train(recipe("gpu"), kOnGpu);
  const TrainSummary cpu = train(recipe("cpu"), {.show_progress = false});
  EXPECT_TRUE(gpu.finished && cpu.finished);
  EXPECT_LT(gpu.last_loss, gpu.first_loss);
  EXPECT_GT(gpu.peak_memory_bytes, 0);
  for (const char* key : {"loss", "eval_loss"}) {
    const auto ours = metric(dir_ / "gpu", key), theirs = metric(dir_ / "cpu", key);
    ASSERT_EQ(ours.size(), theirs.size());
    ASSERT_GT(ours.size(), 0u);
    for (size_t i = 0; i < ours.size(); ++i) {
      // One rounding of bf16; a step changes the loss by more.
      EXPECT_NEAR(ours[i].get<double>(), theirs[i].get<double>(), 0x1p-8 * theirs[i].get<double>())
          << key << " " << i;
    }
  }
}

TEST_F(TrainGpu, ResumingGivesTheBitsOfTheWholeRun) {
  train(recipe("whole"), kOnGpu);
  const fs::path stopped = dir_ / "stopped";
  train(recipe("stopped"), kOnGpu);
  fs::remove_all(stopped / "model");  // as it was after step 5
  fs::remove_all(stopped / "checkpoints" / "step-00000010");
  ASSERT_TRUE(fs::exists(stopped / "checkpoints" / "step-00000005"));
  const TrainSummary resumed = train(recipe("stopped"), kResumeOnGpu);
  EXPECT_TRUE(resumed.finished);
  EXPECT_EQ(weights_file(stopped), weights_file(dir_ / "whole"));
  EXPECT_EQ(metric(stopped, "loss"), metric(dir_ / "whole", "loss"));
}

TEST_F(TrainGpu, ARunMayMoveToTheCpu) {
  train(recipe("moved"), kOnGpu);
  fs::remove_all(dir_ / "moved" / "model");
  fs::remove_all(dir_ / "moved" / "checkpoints" / "step-00000010");
  const TrainSummary resumed = train(recipe("moved"), {.resume = true, .show_progress = false});
  EXPECT_TRUE(resumed.finished);
  EXPECT_LT(resumed.last_loss, metric(dir_ / "moved", "loss")[0].get<double>());
}

TEST_F(TrainGpu, OffloadingChangesNoBit) {
  // Two sequences a micro-batch: cuDNN, which takes one alone, gives other bits in every run.
  std::vector<std::string> parts = {"train.batch_size=4", "train.accumulation=2"};
  train(recipe("kept", parts), kOnGpu);
  parts.emplace_back("train.offload=layer_inputs");
  train(recipe("offloaded", parts), kOnGpu);
  EXPECT_EQ(weights_file(dir_ / "offloaded"), weights_file(dir_ / "kept"));
}

/// A slow stream of large tensors: what is computed with must not come too early, and memory must
/// not be used again before it is copied.
TEST_F(TrainGpu, CopiesWaitForWhatTheyNeed) {
  LayerOffload offload(kGpu);
  constexpr int64_t kLayers = 12, kRows = 4096;
  const at::TensorOptions options = at::TensorOptions(kGpu).dtype(at::kFloat);
  const at::Tensor square = at::eye(kRows, options);
  for (int pass = 0; pass < 2; ++pass) {
    for (int64_t i = 0; i < kLayers; ++i) {
      at::Tensor x = at::full({kRows, kRows}, i + 100 * pass, options);
      for (int k = 0; k < 4; ++k) x = at::mm(x, square);
      offload.store(i, x);
      x.reset();  // the next layer's may be written to its memory
    }
    offload.fetch(kLayers - 1);
    for (int64_t i = kLayers - 1; i >= 0; --i) {
      const at::Tensor x = offload.take(i);
      if (i > 0) offload.fetch(i - 1);
      const at::Tensor y = at::mm(x, square);
      EXPECT_TRUE(y.eq(i + 100 * pass).all().item<bool>()) << i;
    }
  }
}

TEST_F(TrainGpu, StatesInBf16LearnAndResumeToTheBit) {
  const std::vector<std::string> states = {"train.states=bfloat16"};
  const TrainSummary whole = train(recipe("whole", states), kOnGpu);
  EXPECT_LT(whole.last_loss, whole.first_loss);
  const fs::path stopped = dir_ / "stopped";
  train(recipe("stopped", states), kOnGpu);
  fs::remove_all(stopped / "model");
  fs::remove_all(stopped / "checkpoints" / "step-00000010");
  EXPECT_TRUE(train(recipe("stopped", states), kResumeOnGpu).finished);
  EXPECT_EQ(weights_file(stopped), weights_file(dir_ / "whole"));
}

using OptimizerGpu = GpuTest;

/// Matrices and vectors of many lengths, some that 16 bytes do not divide.
ModelConfig optimizer_config() {
  Json json = gpu_config();
  json["vocab_size"] = 2101;
  json["attention_bias"] = true;
  return parse_model_config(json.dump(), "config.json");
}

TEST_F(OptimizerGpu, StepsAreThoseOfTheCpu) {
  const ModelConfig config = optimizer_config();
  ModelWeights cpu = random_weights(config, at::kFloat, 1), gpu = converted(cpu, at::kFloat, kGpu);
  AdamWState cpu_state = make_adamw_state(cpu), gpu_state = make_adamw_state(gpu);
  for (int64_t step = 1; step <= 3; ++step) {
    const ModelWeights gradients = random_weights(config, at::kFloat, 10 + step);
    const ModelWeights moved = converted(gradients, at::kFloat, kGpu);
    const double norm = gradient_norm(gradients);
    EXPECT_NEAR(gradient_norm(moved), norm, 1e-12 * norm);
    const AdamWOptions options = {.learning_rate = 0.01, .weight_decay = 0.1};
    adamw_step(gradients, 0.5, step, options, cpu, cpu_state);
    adamw_step(moved, 0.5, step, options, gpu, gpu_state);
  }
  const auto expect_near = [](const ModelWeights& a, const ModelWeights& b) {
    const auto left = a.parameters(), right = b.parameters();
    for (size_t i = 0; i < left.size(); ++i) {
      // The same formula; compilers may contract its products and sums in different places.
      EXPECT_LE(max_difference(left[i].tensor, right[i].tensor.cpu()),
                8 * 0x1p-23 * max_abs(left[i].tensor))
          << left[i].name;
    }
  };
  expect_near(cpu, gpu);
  expect_near(cpu_state.m, gpu_state.m);
  expect_near(cpu_state.v, gpu_state.v);
}

TEST_F(OptimizerGpu, InBf16TheRandomNumbersAreThoseOfTheCpu) {
  const ModelConfig config = optimizer_config();
  ModelWeights cpu = random_weights(config, at::kBFloat16, 1),
               gpu = converted(cpu, at::kBFloat16, kGpu);
  AdamWState cpu_state = make_adamw_state(cpu), gpu_state = make_adamw_state(gpu);
  const ModelWeights gradients = random_weights(config, at::kBFloat16, 2),
                     moved = converted(gradients, at::kBFloat16, kGpu);
  const double norm = gradient_norm(gradients);
  EXPECT_NEAR(gradient_norm(moved), norm, 1e-12 * norm);
  const AdamWOptions options = {.learning_rate = 0.01, .weight_decay = 0.1, .seed = 9};
  adamw_step(gradients, 0.5, 1, options, cpu, cpu_state);
  adamw_step(moved, 0.5, 1, options, gpu, gpu_state);
  // Where the last bits of fp32 differ, the same random number may round to the other neighbour:
  // some of the 2^16 places between two bf16 numbers are met, a thousandth at most.
  const auto expect_near = [](const ModelWeights& a, const ModelWeights& b) {
    const auto left = a.parameters(), right = b.parameters();
    for (size_t i = 0; i < left.size(); ++i) {
      const at::Tensor x = left[i].tensor.to(at::kDouble),
                       y = right[i].tensor.cpu().to(at::kDouble);
      EXPECT_LE(x.ne(y).sum().item<int64_t>(), 1 + x.numel() / 1000) << left[i].name;
      // Neighbours, or what is left where a weight and its change cancel.
      const double rounding = 8 * 0x1p-23 * max_abs(x);
      EXPECT_TRUE(((x - y).abs() <= 0x1p-7 * x.abs() + rounding).all().item<bool>())
          << left[i].name;
    }
  };
  expect_near(cpu, gpu);
  expect_near(cpu_state.m, gpu_state.m);
  expect_near(cpu_state.v, gpu_state.v);
}

}  // namespace
}  // namespace longgen
