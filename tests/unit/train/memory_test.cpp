// What training keeps for the backward pass: one input a layer, and nothing of the size of T x V.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>

#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/plan/memory.h"
#include "longgen/train/backward_pass.h"
#include "longgen/train/objective/alignment.h"
#include "tests/unit/sanitized.h"
#include "tiny_run.h"

namespace longgen {
namespace {

constexpr int64_t kTokens = 2048, kWidth = 64, kFewLayers = 8, kManyLayers = 72, kVocab = 8192;
constexpr int64_t kLayerInputBytes = kTokens * kWidth * 4;

/// Makes the peak what is in use now. False where the system does not have this.
bool reset_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

Json shape(int64_t num_layers) {
  Json json = tiny_config();
  json["num_hidden_layers"] = num_layers;
  json["hidden_size"] = kWidth;
  json["vocab_size"] = kVocab;
  return json;
}

/// How far the peak of a pass stands above what model and gradients take; `distils`: with itself as
/// its teacher.
int64_t growth_bytes(const Json& json, int64_t num_tokens, Recomputation recompute,
                     bool distils = false) {
  ModelConfig config = parse_model_config(json.dump(), "config.json");
  config.layers = LayerPlan::hybrid(config.num_layers, {}, Pattern::parse("sink=0,window=1"));
  const ModelWeights weights = random_weights(config, at::kFloat, 1);
  require_gradients(weights);
  ModelWeights gradients = zeros_like(weights, at::kFloat);
  for (const NamedTensor& gradient : gradients.parameters()) gradient.tensor.fill_(0);  // in RAM
  const Decoder decoder(config, weights);
  const at::Tensor tokens = at::arange(num_tokens, at::kLong) % json["vocab_size"].get<int64_t>();
  const MicroBatch batch = {tokens, tokens, at::zeros({1}, at::kLong)};
  const Teacher teacher = Teacher::of(decoder);
  BackwardOptions options = {.recompute = recompute, .loss_chunk_rows = 64};
  if (distils) options.objective = {.teacher = &teacher, .distill_share = 0.5, .far_weight = 2};
  EXPECT_TRUE(reset_peak());
  const int64_t before = peak_memory_bytes();
  backward_pass(decoder, batch, options, gradients);
  return peak_memory_bytes() - before;
}

int64_t growth_bytes(int64_t num_layers, Recomputation recompute) {
  return growth_bytes(shape(num_layers), kTokens, recompute);
}

class Memory : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef LONGGEN_TEST_SANITIZED
    GTEST_SKIP() << "a sanitizer takes memory of its own";
#endif
    if (!reset_peak()) GTEST_SKIP() << "the peak of a process cannot be reset here";
    // What is freed goes back at once, because the test measures what the pass keeps, not holes in
    // the heap.
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
    growth_bytes(2, Recomputation::layers);  // what is made once
  }
  void TearDown() override { ::mallopt(M_MMAP_THRESHOLD, 32 << 20); }
};

TEST_F(Memory, OfALayerItsInputStays) {
  const auto of_a_layer = [](Recomputation recompute) {
    return (growth_bytes(kManyLayers, recompute) - growth_bytes(kFewLayers, recompute)) /
           (kManyLayers - kFewLayers);
  };
  const int64_t layers = of_a_layer(Recomputation::layers);
  EXPECT_LT(layers, kLayerInputBytes * 3 / 2) << format_bytes(layers);
  const int64_t attention = of_a_layer(Recomputation::layers_keep_attention);
  EXPECT_LT(attention, kLayerInputBytes * 5 / 2) << format_bytes(attention);
  EXPECT_GT(of_a_layer(Recomputation::none), kLayerInputBytes * 5);
}

TEST_F(Memory, OfALongSequenceTheFeedForwardNetworksActivationsNeverExistAtOnce) {
  constexpr int64_t kFfn = 1024, kManyTokens = 3 * kFeedForwardRows;
  Json json = shape(1);
  json["intermediate_size"] = kFfn;
  json["vocab_size"] = 512;
  // Gate, up, their product, and the gradients of all: five of them stand at once.
  constexpr int64_t kOfAChunk = kFeedForwardRows * 5 * kFfn * 4;
  const int64_t growth = growth_bytes(json, kManyTokens, Recomputation::layers);
  EXPECT_GT(growth, kOfAChunk);
  EXPECT_LT(growth, 2 * kOfAChunk) << format_bytes(growth);
}

static_assert(kPlannedFeedForwardRows == kFeedForwardRows);

TEST_F(Memory, APassTakesWhatIsPlanned) {
  // Where the feed-forward network is the fullest moment, in one chunk and in two. In the
  // attention the CPU has temporaries of its own; tests/gpu holds that against the plan.
  for (const auto& [ffn, tokens] : {std::pair(2048, 8192), {1024, 2 * kFeedForwardRows}}) {
    Json json = shape(2);
    json["hidden_size"] = 256;
    json["intermediate_size"] = ffn;
    json["vocab_size"] = 512;
    const ModelConfig config = parse_model_config(json.dump(), "config.json");
    const MemoryPlan plan =
        training_memory(config, tokens, NumberFormat::float32, {.chunk_rows = 64});
    const int64_t planned = plan.bytes("layer inputs") + plan.bytes("layer working set");
    const int64_t growth = growth_bytes(json, tokens, Recomputation::layers);
    EXPECT_NEAR(static_cast<double>(growth) / static_cast<double>(planned), 1, 0.15)
        << format_bytes(growth) << " of " << format_bytes(planned) << " planned, feed-forward "
        << ffn << ", tokens " << tokens;
  }
}

TEST_F(Memory, AnAligningPassTakesWhatIsPlanned) {
  constexpr int64_t kRows = 8192;
  Json json = shape(3);
  json["hidden_size"] = 256;
  json["intermediate_size"] = 2048;
  json["vocab_size"] = 512;
  ModelConfig config = parse_model_config(json.dump(), "config.json");
  const ModelWeights weights = random_weights(config, at::kFloat, 1);
  const Decoder origin(config, weights);
  config.layers = LayerPlan::hybrid(3, {}, Pattern::parse("sink=0,window=1"));
  ModelWeights gradients = zeros_like(weights, at::kFloat);
  for (const NamedTensor& gradient : gradients.parameters()) gradient.tensor.fill_(0);
  require_gradients(weights);
  const Decoder student(config, weights);
  const at::Tensor tokens = at::arange(kRows, at::kLong) % 512;
  const MicroBatch batch = {tokens, tokens, at::zeros({1}, at::kLong)};
  EXPECT_TRUE(reset_peak());
  const int64_t before = peak_memory_bytes();
  EXPECT_GT(alignment_pass(student, batch, {origin}, gradients), 0);
  const int64_t growth = peak_memory_bytes() - before;
  const int64_t planned = alignment_memory(config, kRows, NumberFormat::float32, {.on_cpu = true})
                              .bytes("layer working set");
  EXPECT_NEAR(static_cast<double>(growth) / static_cast<double>(planned), 1, 0.15)
      << format_bytes(growth) << " of " << format_bytes(planned) << " planned";
}

TEST_F(Memory, LogitsOfAllTokensNeverExist) {
  constexpr int64_t kLogitsBytes = kTokens * kVocab * 4;
  EXPECT_LT(growth_bytes(kFewLayers, Recomputation::layers), kLogitsBytes / 2);
  EXPECT_LT(growth_bytes(shape(kFewLayers), kTokens, Recomputation::layers, /*distils=*/true),
            kLogitsBytes / 2);
}

}  // namespace
}  // namespace longgen
